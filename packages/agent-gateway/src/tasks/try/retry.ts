import * as z from 'zod';
import type { CompileContext, TaskView } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';

const duration = z.union([z.string(), z.record(z.string(), z.number())]);

export const retrySchema = z.strictObject({
  when: z.string().optional(),
  exceptWhen: z.string().optional(),
  delay: duration.optional(),
  backoff: z
    .strictObject({
      constant: z.unknown().optional(),
      linear: z.unknown().optional(),
      exponential: z.unknown().optional(),
    })
    .optional(),
  limit: z
    .strictObject({
      attempt: z.strictObject({ count: z.int().min(1).optional() }).optional(),
      duration: duration.optional(),
    })
    .optional(),
  jitter: z.strictObject({ from: duration, to: duration }).optional(),
});

export interface RetryOptions {
  readonly when: readonly Template[];
  readonly unless: readonly Template[];
  readonly delayMs: number;
  readonly backoff: 'constant' | 'linear' | 'exponential';
  readonly maxRetries: number;
  readonly maxMs: number;
  readonly jitterMs: { readonly from: number; readonly to: number };
}

const defaultRetries = 5;
/** No attempt waits longer, whatever the exponent. */
const maxDelayMs = 24 * 60 * 60 * 1000;

export function compileRetry(
  shape: z.output<typeof retrySchema>,
  { pointer, as, context }: { pointer: string; as: string; context: CompileContext },
): RetryOptions {
  const { delay, backoff, limit, jitter } = shape;
  const ms = (value: unknown, key: string) =>
    value === undefined ? undefined : context.durationMs(value, `${pointer}/${key}`);
  const condition = (text: string | undefined, key: string) =>
    text === undefined ? [] : [context.expression(text, `${pointer}/${key}`, [as])];
  const isBounded = limit?.attempt?.count !== undefined || limit?.duration !== undefined;
  return {
    when: condition(shape.when, 'when'),
    unless: condition(shape.exceptWhen, 'exceptWhen'),
    delayMs: ms(delay, 'delay') ?? 0,
    backoff:
      backoff?.exponential !== undefined
        ? 'exponential'
        : backoff?.linear !== undefined
          ? 'linear'
          : 'constant',
    maxRetries: limit?.attempt?.count ?? (isBounded ? Number.POSITIVE_INFINITY : defaultRetries),
    maxMs: ms(limit?.duration, 'limit/duration') ?? Number.POSITIVE_INFINITY,
    jitterMs: { from: ms(jitter?.from, 'jitter/from') ?? 0, to: ms(jitter?.to, 'jitter/to') ?? 0 },
  };
}

/** When to try again; undefined when it is enough. Every attempt that failed has been opened once, so that `opened` counts them. */
export function retryAtMs(
  { delayMs, backoff, maxRetries, maxMs, jitterMs }: RetryOptions,
  { view, failedAtMs }: { view: TaskView<unknown, unknown>; failedAtMs: number },
): number | undefined {
  const retry = view.branches.opened;
  if (retry > maxRetries) return undefined;
  const factor = backoff === 'exponential' ? 2 ** (retry - 1) : backoff === 'linear' ? retry : 1;
  const spread = jitterMs.from + view.jitter(retry) * Math.max(0, jitterMs.to - jitterMs.from);
  const atMs = failedAtMs + Math.round(Math.min(maxDelayMs, delayMs * factor) + spread);
  return atMs - view.startedAtMs > maxMs ? undefined : atMs;
}
