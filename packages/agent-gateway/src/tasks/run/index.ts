import * as z from 'zod';
import { runError } from '../../domain/run-error.ts';
import { defineTask, type PlannedChild } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';

const text = z.string().min(1);

const runSchema = z.strictObject({
  workflow: z.strictObject({
    namespace: text,
    name: text,
    version: text,
    input: z.unknown().optional(),
  }),
  await: z.boolean().default(true),
  return: z
    .enum(
      ['stdout', 'none'],
      'Only `none` or `stdout`, which is what the workflow gives: a workflow has no exit code',
    )
    .default('stdout'),
});

const refused = ['container', 'script', 'shell'] as const;

interface Options {
  readonly workflow: PlannedChild['workflow'];
  readonly input: Template | undefined;
  readonly isDetached: boolean;
  readonly givesNothing: boolean;
}

/**
 * `run: workflow`: a run of another workflow, on this task's input unless the definition gives another. The output is that of the
 * other run; with `await: false`, this task's input. A run that is awaited is cancelled when nobody waits for it any more.
 */
export const runTask = defineTask<Options | undefined, { readonly input: unknown }>({
  type: 'run',
  keys: ['run'],
  compile({ run }, context) {
    const pointer = `${context.path}/run`;
    const kind = refused.find(each => typeof run === 'object' && run !== null && each in run);
    if (kind !== undefined) {
      context.mistake(
        pointer,
        'Running containers, scripts and shells is not supported; `run: workflow` is.',
      );
      return undefined;
    }
    const shape = checkShape(runSchema, { value: run, pointer }, context);
    if (shape === undefined) return undefined;
    const { input, ...workflow } = shape.workflow;
    return {
      workflow,
      input: input === undefined ? undefined : context.template(input, `${pointer}/workflow/input`),
      isDetached: !shape.await,
      givesNothing: shape.return === 'none',
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    return { input: options.input === undefined ? scope.input : await scope.evaluate(options.input) };
  },
  plan({ node, options, arguments: { input }, input: given, child }) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { workflow, isDetached, givesNothing } = options;
    const outcome = child?.outcome;
    if (child === undefined || outcome === undefined)
      return { type: 'child', child: { workflow, input, isDetached } };
    if (isDetached) return { type: 'complete', output: given };
    if (outcome.status === 'completed')
      return { type: 'complete', output: givesNothing ? null : (outcome.output ?? null) };
    if (outcome.error !== undefined) return { type: 'fail', error: outcome.error };
    const detail = `The run ${child.runId} of '${workflow.namespace}/${workflow.name}' was ${outcome.status}.`;
    const error = runError('runtime', {
      status: 500,
      detail,
      instance: node.path,
      reason: 'child_run_stopped',
    });
    return { type: 'fail', error };
  },
});
