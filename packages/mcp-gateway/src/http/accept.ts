/** What a client takes as the answer to a POST. A missing header takes anything. */
export interface Accepted {
  readonly json: boolean;
  readonly stream: boolean;
}

export function readAccept(header: string | undefined): Accepted {
  if (header === undefined || header.trim() === '') return { json: true, stream: true };
  const ranges = header.split(',').map(range => (range.split(';', 1)[0] ?? '').trim().toLowerCase());
  const takes = (...names: string[]) => ranges.some(range => names.includes(range));
  return {
    json: takes('application/json', 'application/*', '*/*'),
    stream: takes('text/event-stream', 'text/*', '*/*'),
  };
}
