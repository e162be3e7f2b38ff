import { type Context, ROOT_CONTEXT, type SpanContext, TraceFlags, trace } from '@opentelemetry/api';
import { takeRandomBytes } from '../random-pool.ts';

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const zeroTrace = '0'.repeat(32);
const zeroSpan = '0'.repeat(16);

/** Reads a `traceparent` header (W3C Trace Context level 2, section 3.2). Undefined when it must be ignored. */
export function parseTraceparent(header: string | undefined): SpanContext | undefined {
  const match = header === undefined ? null : pattern.exec(header);
  if (match === null) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', rest] = match;
  if (version === 'ff' || traceId === zeroTrace || spanId === zeroSpan) return undefined;
  if (version === '00' && rest !== undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

export function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-0${context.traceFlags & TraceFlags.SAMPLED}`;
}

/** The caller's trace, or a new one, so that every request has a trace id even when nothing is recorded. */
export function traceContextOf(header: string | undefined): SpanContext {
  return parseTraceparent(header) ?? newTraceContext();
}

/**
 * A trace that begins here. Its context is local, so that the sampling ratio and not a caller decides whether it is recorded.
 * Its id begins with the time, as our other ids do, so that entries of one moment lie together in an index of traces; the rest is random
 * (80 bits, where W3C Trace Context level 2 asks for the last 56).
 */
export function newTraceContext(nowMs: number = Date.now()): SpanContext {
  const bytes = takeRandomBytes(24); // nobody else is given them, so the time may be written into them
  bytes.writeUIntBE(nowMs, 0, 6);
  const text = bytes.toString('hex');
  return {
    traceId: text.slice(0, 32),
    spanId: text.slice(32),
    traceFlags: TraceFlags.SAMPLED,
    isRemote: false,
  };
}

/** For `tracer.startSpan(name, options, parentOf(context))`. */
export function parentOf(context: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, context);
}
