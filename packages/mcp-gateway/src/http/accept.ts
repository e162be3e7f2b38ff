/** What a client takes as the answer to a POST. A missing header takes anything. */
export interface Accepted {
  readonly json: boolean;
  readonly stream: boolean;
}

const anything: Accepted = { json: true, stream: true };
/** Clients of one kind write it in one way. */
const known = new Map<string, Accepted>();
const maxKnown = 100;
const maxKnownLength = 200;

export function readAccept(header: string | undefined): Accepted {
  if (header === undefined) return anything;
  const read = known.get(header) ?? parseAccept(header);
  if (known.size < maxKnown && header.length <= maxKnownLength) known.set(header, read);
  return read;
}

function parseAccept(header: string): Accepted {
  if (header.trim() === '') return anything;
  const ranges = header.split(',').map(range => (range.split(';', 1)[0] ?? '').trim().toLowerCase());
  const takes = (...names: string[]) => ranges.some(range => names.includes(range));
  return {
    json: takes('application/json', 'application/*', '*/*'),
    stream: takes('text/event-stream', 'text/*', '*/*'),
  };
}
