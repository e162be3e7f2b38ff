import type { ReadableSpan } from '@opentelemetry/sdk-trace';

/**
 * A trace that began here was given a parent by `newTraceContext`, which names and samples it, and which is no span: whoever looks for it
 * finds nothing. What lies right below it is told as what it is, the first span of its trace.
 */
export function toldSpan(span: ReadableSpan): ReadableSpan {
  if (span.parentSpanContext?.isRemote !== false) return span;
  return Object.create(span, { parentSpanContext: { value: undefined } }) as ReadableSpan; // all else is the span's own
}
