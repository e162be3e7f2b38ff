import { createMessageParser, framingOf, type MessageParser, type RawHeaders } from '../message-parser.ts';

export interface RequestHead {
  readonly method: string;
  readonly path: string;
  /** As sent: order, case and repetitions. */
  readonly rawHeaders: RawHeaders;
}

export interface RequestListener {
  onHead(head: RequestHead): void;
  onBody(bytes: Buffer): void;
  onEnd(): void;
}

/** Reads requests from bytes. Throws at what our own client should never send. */
export function createRequestParser(listener: RequestListener): MessageParser {
  return createMessageParser({
    onHead: (startLine, rawHeaders) => {
      const match = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(startLine);
      if (!match) throw new Error(`Bad request line ${JSON.stringify(startLine)}`);
      const framing = framingOf(rawHeaders) ?? { kind: 'length', bytes: 0 };
      listener.onHead({ method: match[1] ?? '', path: match[2] ?? '', rawHeaders });
      return framing;
    },
    onBody: bytes => listener.onBody(bytes),
    onEnd: () => listener.onEnd(),
  });
}
