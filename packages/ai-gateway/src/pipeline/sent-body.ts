import { Readable } from 'node:stream';
import type { DialRequest } from '@strata/shared/http/dialer.ts';
import type { StreamedBody } from '../domain/form.ts';

/** A body as the dialer takes it. */
export function sentBody(body: Buffer | StreamedBody): Pick<DialRequest, 'body' | 'bodyBytes'> {
  if (Buffer.isBuffer(body)) return { body };
  return { body: Readable.from(body.chunks(), { objectMode: false }), bodyBytes: body.bytes };
}
