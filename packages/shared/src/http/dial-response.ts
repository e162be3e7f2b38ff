import type { Readable } from 'node:stream';

export interface DialResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Must be read to its end or destroyed. Its errors are GatewayErrors, or the reason of the signal. */
  readonly body: Readable;
  /** All of the body, in place of `body`; at once where it has all come. @throws GatewayError upstream_failed (`upstream_answer_too_large`), and as `body`. */
  readAll(maxBytes: number): Promise<Buffer> | Buffer;
}
