import { type Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createUnzip, createZstdDecompress } from 'node:zlib';
import { GatewayError } from '../errors/gateway-error.ts';
import { answerTooLarge } from './answer-body.ts';
import type { DialResponse } from './dial-response.ts';

/** RFC 9110 section 8.4.1, RFC 7932, RFC 8878. `deflate` and `gzip` tell themselves apart. */
const decoders = {
  gzip: createUnzip,
  'x-gzip': createUnzip,
  deflate: createUnzip,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
} as const;

export type Coding = keyof typeof decoders;

/** Text hardly gets a hundred times smaller; what does is there to fill memory (F32). */
const maxRatio = 100;
/** Of what is decoded, before the ratio says anything. */
const freeBytes = 1024 * 1024;

/** How an answer is compressed, 'identity' where it is not; undefined: in a way that is not read here. Names are the same in any case. */
export function codingOf(header: string | string[] | undefined): Coding | 'identity' | undefined {
  if (header === undefined) return 'identity';
  if (Array.isArray(header)) return undefined;
  const name = header.trim().toLowerCase();
  if (name === '' || name === 'identity') return 'identity';
  return Object.hasOwn(decoders, name) ? (name as Coding) : undefined; // it is one of them
}

/**
 * An answer that was compressed although nobody asked for it, as it was before. Its errors are those of the answer, and `upstream_failed`
 * (`upstream_encoding_refused`) for what is no such compression or grows beyond measure.
 */
export class DecodedAnswer implements DialResponse {
  readonly status: number;
  readonly headers: DialResponse['headers'];
  readonly #answer: DialResponse;
  readonly #coding: Coding;
  readonly #originName: string;
  #body: Readable | undefined;

  constructor(answer: DialResponse, { coding, originName }: { coding: Coding; originName: string }) {
    const { 'content-encoding': _coding, 'content-length': _length, ...headers } = answer.headers;
    this.status = answer.status;
    this.headers = headers;
    this.#answer = answer;
    this.#coding = coding;
    this.#originName = originName;
  }

  get body(): Readable {
    this.#body ??= decoded(this.#answer.body, { coding: this.#coding, originName: this.#originName });
    return this.#body;
  }

  async readAll(maxBytes: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw answerTooLarge(maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, bytes);
  }
}

function decoded(source: Readable, { coding, originName }: { coding: Coding; originName: string }): Readable {
  const decoder = decoders[coding]();
  let bytes = 0;
  const measured = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length;
      const isBomb = bytes > freeBytes && bytes > maxRatio * decoder.bytesWritten;
      if (isBomb) callback(encodingRefused(originName));
      else callback(null, chunk);
    },
  });
  // An answer can break before anybody reads it. Whoever reads it later still gets the error.
  measured.on('error', () => {});
  source.on('error', error => measured.destroy(error));
  decoder.on('error', (error: NodeJS.ErrnoException) => {
    const isEmpty = error.code === 'Z_BUF_ERROR' && decoder.bytesWritten === 0; // the answer to a HEAD
    if (isEmpty) measured.end();
    else measured.destroy(encodingRefused(originName, error));
  });
  measured.once('close', () => {
    source.destroy();
    decoder.destroy();
  });
  source.pipe(decoder).pipe(measured);
  return measured;
}

export function encodingRefused(originName: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'upstream_failed',
    `'${originName}' compressed its answer, which it was asked not to, in a way that cannot be read.`,
    { reason: 'upstream_encoding_refused', cause },
  );
}
