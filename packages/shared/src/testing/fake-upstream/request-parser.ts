export interface RequestHead {
  readonly method: string;
  readonly path: string;
  /** As sent: order, case and repetitions. */
  readonly rawHeaders: readonly (readonly [string, string])[];
}

export interface RequestListener {
  onHead(head: RequestHead): void;
  onBody(bytes: Buffer): void;
  onEnd(): void;
}

const endOfHead = Buffer.from('\r\n\r\n');
const maxHeadBytes = 1024 * 1024;

/**
 * Reads HTTP/1.1 requests (RFC 9112) from bytes, one after another on a connection. Stricter than servers are, so that what
 * our own client should never send is found: throws on a bad line, on two lengths, on a length beside an encoding.
 */
export function createRequestParser(listener: RequestListener): {
  push(bytes: Buffer): void;
  readonly isIdle: boolean;
} {
  let state: 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' = 'head';
  let held: Buffer = Buffer.alloc(0);
  let remaining = 0;

  const takeLine = (): string | undefined => {
    const end = held.indexOf('\r\n');
    if (end === -1) {
      if (held.length > maxHeadBytes) throw new Error('Endless line in a request');
      return undefined;
    }
    const line = held.toString('latin1', 0, end);
    held = held.subarray(end + 2);
    return line;
  };

  const takeBody = (): boolean => {
    if (held.length === 0 && remaining > 0) return false;
    const bytes = held.subarray(0, remaining);
    held = held.subarray(bytes.length);
    remaining -= bytes.length;
    if (bytes.length > 0) listener.onBody(bytes);
    return remaining === 0;
  };

  const finish = (): void => {
    state = 'head';
    listener.onEnd();
  };

  const takeHead = (): boolean => {
    const end = held.indexOf(endOfHead);
    if (end === -1) {
      if (held.length > maxHeadBytes) throw new Error('Endless head of a request');
      return false;
    }
    const head = parseHead(held.toString('latin1', 0, end));
    const { isChunked, lengthBytes } = bodyFraming(head);
    held = held.subarray(end + endOfHead.length);
    listener.onHead(head);
    if (isChunked) state = 'chunk-size';
    else if (lengthBytes > 0) {
      state = 'length';
      remaining = lengthBytes;
    } else finish();
    return true;
  };

  /** One step; false when more bytes are needed. */
  const step = (): boolean => {
    switch (state) {
      case 'head':
        return held.length > 0 && takeHead();
      case 'length':
        if (!takeBody()) return false;
        finish();
        return true;
      case 'chunk-size': {
        const line = takeLine();
        if (line === undefined) return false;
        const size = line.split(';')[0] ?? '';
        if (!/^[0-9a-f]{1,8}$/i.test(size)) throw new Error(`Bad chunk size ${JSON.stringify(line)}`);
        remaining = Number.parseInt(size, 16);
        state = remaining === 0 ? 'trailer' : 'chunk';
        return true;
      }
      case 'chunk':
        if (!takeBody()) return false;
        state = 'chunk-end';
        return true;
      case 'chunk-end': {
        const line = takeLine();
        if (line === undefined) return false;
        if (line !== '') throw new Error('A chunk is longer than its size says');
        state = 'chunk-size';
        return true;
      }
      case 'trailer': {
        const line = takeLine();
        if (line === undefined) return false;
        if (line === '') finish();
        return true;
      }
    }
  };

  return {
    push: bytes => {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      while (step());
    },
    get isIdle() {
      return state === 'head' && held.length === 0;
    },
  };
}

function parseHead(text: string): RequestHead {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const match = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(requestLine);
  if (!match) throw new Error(`Bad request line ${JSON.stringify(requestLine)}`);
  const rawHeaders = lines.map(line => {
    const header = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (!header) throw new Error(`Bad header line ${JSON.stringify(line)}`);
    return [header[1] ?? '', header[2] ?? ''] as const;
  });
  return { method: match[1] ?? '', path: match[2] ?? '', rawHeaders };
}

function bodyFraming(head: RequestHead): { readonly isChunked: boolean; readonly lengthBytes: number } {
  const valuesOf = (name: string) =>
    head.rawHeaders.filter(([header]) => header.toLowerCase() === name).map(([, value]) => value);
  const lengths = valuesOf('content-length');
  const encodings = valuesOf('transfer-encoding');
  if (lengths.length + encodings.length > 1) throw new Error('A request says twice how long its body is');
  if (encodings.length === 1) {
    if (encodings[0]?.toLowerCase() !== 'chunked')
      throw new Error(`Unknown transfer-encoding ${encodings[0]}`);
    return { isChunked: true, lengthBytes: 0 };
  }
  const length = lengths[0] ?? '0';
  if (!/^[0-9]+$/.test(length)) throw new Error(`Bad content-length ${JSON.stringify(length)}`);
  return { isChunked: false, lengthBytes: Number(length) };
}
