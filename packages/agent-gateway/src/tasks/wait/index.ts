import { defineTask } from '../../domain/task-type.ts';

/** `wait`: a durable timer. While it runs, nothing of the run is in memory. Its output is its input. */
export const waitTask = defineTask<{ readonly durationMs: number }, undefined>({
  type: 'wait',
  keys: ['wait'],
  compile: (definition, context) => ({
    durationMs: context.durationMs(definition.wait, `${context.path}/wait`),
  }),
  prepare: async () => undefined,
  plan({ options, input, startedAtMs, nowMs }) {
    const untilMs = startedAtMs + options.durationMs;
    return nowMs >= untilMs ? { type: 'complete', output: input } : { type: 'sleep', untilMs };
  },
});
