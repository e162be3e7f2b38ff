import { evaluateDuration } from '../../domain/duration.ts';
import { defineTask } from '../../domain/task-type.ts';
import type { Duration } from '../../domain/workflow.ts';

/** `wait`: a durable timer. While it runs, nothing of the run is in memory. Its output is its input. */
export const waitTask = defineTask<
  { readonly duration: Duration },
  { readonly durationMs: number } | undefined
>({
  type: 'wait',
  keys: ['wait'],
  compile: (definition, context) => ({
    duration: context.duration(definition.wait, `${context.path}/wait`),
  }),
  async prepare({ duration }, scope) {
    if (typeof duration === 'number') return undefined;
    return { durationMs: await evaluateDuration(duration, template => scope.evaluate(template)) };
  },
  plan({ options: { duration }, arguments: evaluated, input, startedAtMs, nowMs }) {
    const durationMs = typeof duration === 'number' ? duration : (evaluated?.durationMs ?? 0);
    const untilMs = startedAtMs + durationMs;
    return nowMs >= untilMs ? { type: 'complete', output: input } : { type: 'sleep', untilMs };
  },
});
