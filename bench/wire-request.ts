export interface WireRequest {
  readonly head: string;
  readonly body: string;
  readonly rest: Buffer;
}

/** The first complete HTTP/1.1 message of the bytes, by `content-length`; undefined while it is not all there. */
export function takeRequest(bytes: Buffer): WireRequest | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  const end = headEnd + 4 + length;
  if (bytes.length < end) return undefined;
  return { head, body: bytes.toString('latin1', headEnd + 4, end), rest: bytes.subarray(end) };
}
