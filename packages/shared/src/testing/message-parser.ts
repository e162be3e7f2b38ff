export type RawHeaders = readonly (readonly [name: string, value: string])[];

export type BodyFraming =
  | { readonly kind: 'chunked' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'until-close' };

export interface MessageListener {
  /** Says how the body that follows is framed. */
  onHead(startLine: string, rawHeaders: RawHeaders): BodyFraming;
  onBody(bytes: Buffer): void;
  onEnd(trailers: RawHeaders): void;
}

export interface MessageParser {
  /** Throws at the first byte that RFC 9112 does not allow. */
  push(bytes: Buffer): void;
  /** The other side sent FIN. Throws in the middle of a message, unless its body lasts until then. */
  finish(): void;
  /** Between messages, with nothing left over. */
  readonly isIdle: boolean;
}

const endOfHead = Buffer.from('\r\n\r\n');
const maxHeadBytes = 1024 * 1024;

/**
 * Reads HTTP/1.1 messages (RFC 9112) from bytes, one after another on a connection. Stricter than real servers and clients,
 * so that what should never be sent is found.
 */
export function createMessageParser(listener: MessageListener): MessageParser {
  let state: 'head' | 'length' | 'until-close' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' = 'head';
  let held: Buffer = Buffer.alloc(0);
  let remaining = 0;
  let trailers: (readonly [string, string])[] = [];

  const takeLine = (): string | undefined => {
    const end = held.indexOf('\r\n');
    if (end === -1 && held.length > maxHeadBytes) throw new Error('Endless line');
    if (end === -1) return undefined;
    const line = held.toString('latin1', 0, end);
    held = held.subarray(end + 2);
    return line;
  };

  /** True when the piece that `remaining` counts is complete. */
  const takeBody = (): boolean => {
    const bytes = held.subarray(0, remaining);
    held = held.subarray(bytes.length);
    remaining -= bytes.length;
    if (bytes.length > 0) listener.onBody(bytes);
    return remaining === 0;
  };

  const complete = (): void => {
    const had = trailers;
    trailers = [];
    state = 'head';
    listener.onEnd(had);
  };

  const takeHead = (): boolean => {
    const end = held.indexOf(endOfHead);
    if (end === -1 && held.length > maxHeadBytes) throw new Error('Endless head');
    if (end === -1) return false;
    const [startLine = '', ...lines] = held.toString('latin1', 0, end).split('\r\n');
    held = held.subarray(end + endOfHead.length);
    const framing = listener.onHead(startLine, lines.map(parseHeaderLine));
    if (framing.kind === 'chunked') state = 'chunk-size';
    else if (framing.kind === 'until-close') {
      state = 'until-close';
      remaining = Number.POSITIVE_INFINITY;
    } else if (framing.bytes > 0) {
      state = 'length';
      remaining = framing.bytes;
    } else complete();
    return true;
  };

  const takeChunkSize = (line: string): void => {
    const size = line.split(';')[0] ?? '';
    if (!/^[0-9a-f]{1,8}$/i.test(size)) throw new Error(`Bad chunk size ${JSON.stringify(line)}`);
    remaining = Number.parseInt(size, 16);
    state = remaining === 0 ? 'trailers' : 'chunk';
  };

  const takeChunkEnd = (line: string): void => {
    if (line !== '') throw new Error('A chunk is longer than its size says');
    state = 'chunk-size';
  };

  const takeTrailer = (line: string): void => {
    if (line === '') complete();
    else trailers.push(parseHeaderLine(line));
  };

  /** One step; false when it needs more bytes. */
  const step = (): boolean => {
    if (held.length === 0) return false;
    if (state === 'head') return takeHead();
    if (state === 'length' || state === 'chunk' || state === 'until-close') {
      if (!takeBody()) return false;
      if (state === 'chunk') state = 'chunk-end';
      else complete();
      return true;
    }
    const line = takeLine();
    if (line === undefined) return false;
    if (state === 'chunk-size') takeChunkSize(line);
    else if (state === 'chunk-end') takeChunkEnd(line);
    else takeTrailer(line);
    return true;
  };

  return {
    push: bytes => {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      while (step());
    },
    finish: () => {
      if (state === 'until-close') complete();
      else if (state !== 'head' || held.length > 0)
        throw new Error('The connection ended in the middle of a message');
    },
    get isIdle() {
      return state === 'head' && held.length === 0;
    },
  };
}

/** How the headers frame a body; `undefined` when they say nothing. Throws when they say it twice or unclearly. */
export function framingOf(rawHeaders: RawHeaders): BodyFraming | undefined {
  const valuesOf = (name: string) =>
    rawHeaders.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  const lengths = valuesOf('content-length');
  const encodings = valuesOf('transfer-encoding');
  if (lengths.length + encodings.length > 1) throw new Error('A message says twice how long its body is');
  const [encoding] = encodings;
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked')
      throw new Error(`Unknown transfer-encoding ${JSON.stringify(encoding)}`);
    return { kind: 'chunked' };
  }
  const [length] = lengths;
  if (length === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(length)) throw new Error(`Bad content-length ${JSON.stringify(length)}`);
  return { kind: 'length', bytes: Number(length) };
}

/** Lower-case names; repeated headers joined with `, `. */
export function joinHeaders(rawHeaders: RawHeaders): Readonly<Record<string, string>> {
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of rawHeaders) {
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return headers;
}

function parseHeaderLine(line: string): readonly [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
  if (!match) throw new Error(`Bad header line ${JSON.stringify(line)}`);
  return [match[1] ?? '', match[2] ?? ''];
}
