import { parseTraceparent } from '@strata/shared/http/trace-context.ts';
import { stringAt } from '@strata/shared/json/json-text.ts';
import type { RequestFrame } from '../domain/frame.ts';

/**
 * The trace that a request itself says it belongs to, in `_meta` (2026-07-28, "Reserved keys"). It comes from whoever asked; the headers may
 * be those of something on the way.
 */
export function traceOfMessage(frame: RequestFrame): ReturnType<typeof parseTraceparent> {
  const span = frame.params?.members?.get('_meta')?.members?.get('traceparent');
  return span && parseTraceparent(stringAt(frame.bytes, span));
}
