import * as z from 'zod';
import { evaluateDuration } from '../../domain/duration.ts';
import type { CompileContext, TaskScope, TaskView } from '../../domain/task-type.ts';
import type { Duration, Template } from '../../domain/workflow.ts';

const duration = z.union([z.string(), z.record(z.string(), z.number())]);
/** The specification gives none of the strategies a member. */
const strategy = z.strictObject({});

export const retrySchema = z.strictObject({
  when: z.string().optional(),
  exceptWhen: z.string().optional(),
  delay: duration.optional(),
  backoff: z
    .strictObject({
      constant: strategy.optional(),
      linear: strategy.optional(),
      exponential: strategy.optional(),
    })
    .optional(),
  limit: z
    .strictObject({
      attempt: z
        .strictObject({
          count: z.int().min(1).optional(),
          duration: duration.optional(),
        })
        .optional(),
      duration: duration.optional(),
    })
    .optional(),
  jitter: z.strictObject({ from: duration, to: duration }).optional(),
});

export interface RetryOptions {
  readonly when: readonly Template[];
  readonly unless: readonly Template[];
  readonly backoff: 'constant' | 'linear' | 'exponential';
  readonly maxRetries: number;
  /** As it was written. */
  readonly attemptDuration: unknown;
  readonly durations: Readonly<Record<RetryDuration, Duration | undefined>>;
}

const durationNames = ['delay', 'limit', 'jitterFrom', 'jitterTo'] as const;
type RetryDuration = (typeof durationNames)[number];
/** Milliseconds of those that expressions gave. */
export type EvaluatedDurations = Readonly<Partial<Record<RetryDuration, number>>>;

const defaultRetries = 5;
/** No attempt waits longer, whatever the exponent. */
const maxDelayMs = 24 * 60 * 60 * 1000;

export function compileRetry(
  shape: z.output<typeof retrySchema>,
  { pointer, as, context }: { pointer: string; as: string; context: CompileContext },
): RetryOptions {
  const { delay, backoff, limit, jitter } = shape;
  const lasting = (value: unknown, key: string) =>
    value === undefined ? undefined : context.duration(value, `${pointer}/${key}`);
  const condition = (text: string | undefined, key: string) =>
    text === undefined ? [] : [context.expression(text, `${pointer}/${key}`, [as])];
  const isBounded = limit?.attempt?.count !== undefined || limit?.duration !== undefined;
  return {
    when: condition(shape.when, 'when'),
    unless: condition(shape.exceptWhen, 'exceptWhen'),
    backoff:
      backoff?.exponential !== undefined
        ? 'exponential'
        : backoff?.linear !== undefined
          ? 'linear'
          : 'constant',
    maxRetries: limit?.attempt?.count ?? (isBounded ? Number.POSITIVE_INFINITY : defaultRetries),
    attemptDuration: limit?.attempt?.duration,
    durations: {
      delay: lasting(delay, 'delay'),
      limit: lasting(limit?.duration, 'limit/duration'),
      jitterFrom: lasting(jitter?.from, 'jitter/from'),
      jitterTo: lasting(jitter?.to, 'jitter/to'),
    },
  };
}

/** When to try again; undefined when it is enough. Every attempt that failed has been opened once, so that `opened` counts them. */
export function retryAtMs(
  { backoff, maxRetries, durations }: RetryOptions,
  { view, failedAtMs }: { view: TaskView<unknown, EvaluatedDurations | undefined>; failedAtMs: number },
): number | undefined {
  const retry = view.branches.opened;
  if (retry > maxRetries) return undefined;
  const ms = (name: RetryDuration) => {
    const written = durations[name];
    return typeof written === 'object' ? view.arguments?.[name] : written;
  };
  const from = ms('jitterFrom') ?? 0;
  const factor = backoff === 'exponential' ? 2 ** (retry - 1) : backoff === 'linear' ? retry : 1;
  const spread = from + view.jitter(retry) * Math.max(0, (ms('jitterTo') ?? 0) - from);
  const atMs = failedAtMs + Math.round(Math.min(maxDelayMs, (ms('delay') ?? 0) * factor) + spread);
  return atMs - view.startedAtMs > (ms('limit') ?? Number.POSITIVE_INFINITY) ? undefined : atMs;
}

/** Durations that are expressions are evaluated once, when the `try` begins. */
export async function evaluateDurations(
  { durations }: RetryOptions,
  scope: Pick<TaskScope, 'evaluate'>,
): Promise<EvaluatedDurations | undefined> {
  const evaluated: Partial<Record<RetryDuration, number>> = {};
  for (const name of durationNames) {
    const duration = durations[name];
    if (typeof duration === 'object')
      evaluated[name] = await evaluateDuration(duration, template => scope.evaluate(template));
  }
  return Object.keys(evaluated).length === 0 ? undefined : evaluated;
}
