import type { CompletedTask } from '../domain/decide.ts';
import type { Expressions } from '../domain/expressions.ts';
import type { RunEvent } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import { type Next, nextOf, type TaskNode, type Template, type Workflow } from '../domain/workflow.ts';
import { createScope } from './run-variables.ts';
import { evaluateTemplate } from './template-values.ts';

export interface TaskEvaluation {
  readonly runId: string;
  readonly state: RunState;
  readonly workflow: Workflow;
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly nowMs: number;
}

/** Evaluates a task's condition, input and arguments, in this order, and says what to write down. */
export async function beginTask(
  { node, visit, input }: { node: TaskNode; visit: number; input: unknown },
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { nowMs, types, state } = evaluation;
  const { path } = node;
  const evaluate = (template: Template, data: unknown, taskInput?: unknown) =>
    evaluateTemplate(
      template,
      createScope({ ...evaluation, node, startedAtMs: nowMs }, { data, input: taskInput }),
      evaluation.expressions,
    );
  if (node.condition !== undefined && !isTruthy(await evaluate(node.condition, input))) {
    return { type: 'task-skipped', path, visit, next: nextOf(node, 'continue') };
  }
  const taskInput = node.inputFrom === undefined ? input : await evaluate(node.inputFrom, input);
  const type = types.get(node.type);
  if (type === undefined) throw new Error(`No task type '${node.type}'`);
  const prepared = await type.prepare(node.options, {
    input: taskInput,
    evaluate: template => evaluate(template, taskInput, taskInput),
  });
  const { timeoutMs } = node;
  return {
    type: 'task-started',
    path,
    visit,
    ...(node.inputFrom !== undefined && { input: taskInput }),
    ...(prepared !== undefined && { arguments: prepared }),
    ...(node.first !== undefined && { first: node.first as Next }), // a path of a task, or null
    ...(timeoutMs !== undefined && { deadlineAtMs: Math.min(nowMs + timeoutMs, state.deadlineAtMs) }),
  };
}

/** Transforms a task's output, and the context, and says what to write down. */
export async function completeTask(
  { task, next }: { task: CompletedTask; next: Next },
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { node, visit, input, startedAtMs } = task;
  const evaluate = (template: Template, data: unknown, output: unknown) =>
    evaluateTemplate(
      template,
      createScope({ ...evaluation, node, startedAtMs }, { data, input, output }),
      evaluation.expressions,
    );
  const output =
    node.outputAs === undefined ? task.output : await evaluate(node.outputAs, task.output, task.output);
  const context = node.exportAs === undefined ? undefined : await evaluate(node.exportAs, output, output);
  return {
    type: 'task-completed',
    path: node.path,
    visit,
    ...((node.outputAs !== undefined || !task.isUnchanged) && { output: output ?? null }),
    ...(node.exportAs !== undefined && { context: context ?? null }),
    next,
  };
}

/** As jq sees it: everything but `false` and `null`. */
const isTruthy = (value: unknown) => value !== false && value !== null && value !== undefined;
