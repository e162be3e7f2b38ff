import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors/gateway-error.ts';
import { clientGone } from './request-life.ts';

const nothing = Buffer.alloc(0);

/**
 * The whole body of a request.
 *
 * @throws GatewayError too_large (`body_too_large`), invalid_request (`content_length_mismatch`), cancelled when the client leaves meanwhile.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { headers } = request;
  const written = headers['content-length'];
  const declared = written === undefined ? undefined : Number(written);
  // HTTP/2 needs neither length nor encoding for a body; such a one has a type.
  const isEmpty =
    headers['content-type'] === undefined && headers['transfer-encoding'] === undefined && !declared;
  if (isEmpty) return Promise.resolve(nothing);
  if (declared !== undefined && declared > maxBytes) return Promise.reject(bodyTooLarge(maxBytes));
  return new Promise((resolve, reject) => new BodyReader(request, { maxBytes, declared, resolve, reject }));
}

interface ReadOptions {
  readonly maxBytes: number;
  readonly declared: number | undefined;
  resolve(body: Buffer): void;
  reject(error: GatewayError): void;
}

class BodyReader {
  readonly #request: IncomingMessage;
  readonly #options: ReadOptions;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(request: IncomingMessage, options: ReadOptions) {
    this.#request = request;
    this.#options = options;
    request.on('data', this.#onData);
    request.on('end', this.#onEnd);
    request.on('error', this.#onGone);
    request.on('close', this.#onGone);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBytes) this.#fail(bodyTooLarge(this.#options.maxBytes));
    else this.#chunks.push(chunk);
  };

  readonly #onEnd = (): void => {
    if (this.#isOver) return;
    const { declared } = this.#options;
    if (declared !== undefined && declared !== this.#bytes) {
      this.#fail(lengthMismatch());
      return;
    }
    this.#isOver = true;
    const [first = nothing] = this.#chunks;
    this.#options.resolve(this.#chunks.length < 2 ? first : Buffer.concat(this.#chunks, this.#bytes));
  };

  readonly #onGone = (): void => {
    if (!this.#isOver) this.#fail(clientGone());
  };

  #fail(error: GatewayError): void {
    this.#isOver = true;
    this.#chunks = [];
    this.#request.off('data', this.#onData);
    this.#options.reject(error);
  }
}

export function bodyTooLarge(maxBytes: number, cause?: Error): GatewayError {
  return new GatewayError('too_large', `The body is larger than ${maxBytes} bytes.`, {
    reason: 'body_too_large',
    cause,
  });
}

export function lengthMismatch(cause?: Error): GatewayError {
  return new GatewayError('invalid_request', 'The body is not as long as `content-length` says.', {
    reason: 'content_length_mismatch',
    cause,
  });
}
