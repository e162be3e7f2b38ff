import { type AgentPrice, feeOf } from '../domain/agent-fee.ts';
import { type Policy, requireAgent } from '../domain/authority.ts';
import type { Command, CompletedTask } from '../domain/command.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import { evaluateDuration } from '../domain/duration.ts';
import type { Expressions } from '../domain/expressions.ts';
import { lastOutput } from '../domain/fold-lists.ts';
import { notUnderstood } from '../domain/journal-errors.ts';
import type { RunEvent } from '../domain/run-events.ts';
import { type Branch, type OpenTask, type RunState, variablesAt } from '../domain/run-state.ts';
import type { AwaitedEvents, PlannedBranch, TaskTypes } from '../domain/task-type.ts';
import { evaluateTemplate } from '../domain/template-values.ts';
import { type Next, nextOf, type Template, type Workflow } from '../domain/workflow.ts';
import { requireSchema } from './require-schema.ts';
import { runCaller } from './run-caller.ts';
import { createScope, type ScopeValues } from './run-variables.ts';

export interface TaskEvaluation {
  readonly runId: string;
  readonly state: RunState;
  readonly workflow: Workflow;
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly schemas: DataSchemas;
  readonly policy: Policy;
  readonly agentPrices: readonly AgentPrice[];
  readonly nowMs: number;
}

/** Evaluates a task's condition, input and arguments, in this order, and says what to write down. */
export async function beginTask(
  { node, visit, input: given, branch }: Extract<Command, { type: 'begin' }>,
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { nowMs, types, state, schemas } = evaluation;
  const { path } = node;
  const scope = { ...evaluation, node, startedAtMs: nowMs, locals: variablesAt(branch) };
  const evaluateWith = (template: Template, values: ScopeValues) =>
    evaluateTemplate(template, createScope(scope, values), evaluation.expressions);
  const input = node.startsFrom === undefined ? given : await evaluateWith(node.startsFrom, { data: given });
  const evaluate = (template: Template, data: unknown, taskInput?: unknown) =>
    evaluateWith(template, { data, input: taskInput, rawInput: input });
  if (
    branch !== undefined &&
    node.condition !== undefined &&
    !isTruthy(await evaluate(node.condition, input))
  ) {
    return { type: 'task-skipped', path, visit, branch: branch.id, next: nextOf(node, 'continue') };
  }
  if (node.agent !== undefined) requireAgent(runCaller(evaluation), node.agent, evaluation.policy);
  await requireSchema(node.schemas, 'input', { value: input, schemas });
  const taskInput = node.inputFrom === undefined ? input : await evaluate(node.inputFrom, input);
  const type = types.get(node.type);
  if (type === undefined) throw notUnderstood(`No task type '${node.type}'`);
  const prepared = await type.prepare(node.options, {
    input: taskInput,
    nowMs,
    evaluate: template => evaluate(template, taskInput, taskInput),
  });
  const timeoutMs =
    node.timeout === undefined
      ? undefined
      : await evaluateDuration(node.timeout, template => evaluate(template, taskInput, taskInput));
  const fee = feeOf(node.agent, evaluation.agentPrices);
  return {
    type: 'task-started',
    path,
    visit,
    ...(branch !== undefined && { branch: branch.id }),
    ...((node.inputFrom ?? node.startsFrom) !== undefined && { input: taskInput }),
    ...(prepared !== undefined && { arguments: prepared }),
    ...(node.first !== undefined && { first: node.first as Next }), // a path of a task, or null
    ...(type.undoes === true && { undoes: true as const }),
    ...(fee !== undefined && { fee }),
    ...(timeoutMs !== undefined && { deadlineAtMs: Math.min(nowMs + timeoutMs, state.deadlineAtMs) }),
  };
}

/** Transforms a task's output, and the context, and says what to write down. */
export async function completeTask(
  { task, next }: { task: CompletedTask; next: Next },
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { node, visit, input, startedAtMs, branch } = task;
  const evaluate = (template: Template, data: unknown, output: unknown) =>
    evaluateTemplate(
      template,
      createScope(
        { ...evaluation, node, startedAtMs, locals: variablesAt(branch) },
        { data, input, output, rawInput: rawInputOf(branch, evaluation.state), rawOutput: task.output },
      ),
      evaluation.expressions,
    );
  const output =
    node.outputAs === undefined ? task.output : await evaluate(node.outputAs, task.output, task.output);
  const { schemas } = evaluation;
  await requireSchema(node.schemas, 'output', { value: output, schemas });
  const context = node.exportAs === undefined ? undefined : await evaluate(node.exportAs, output, output);
  await requireSchema(node.schemas, 'export', { value: context, schemas });
  return {
    type: 'task-completed',
    path: node.path,
    visit,
    ...((node.outputAs !== undefined || !task.isUnchanged) && { output: output ?? null }),
    ...(node.exportAs !== undefined && { context: context ?? null }),
    next,
    ...(node.compensation !== undefined && { compensation: { first: node.compensation } }),
  };
}

/** Evaluates whether a list may be opened, and says what to write down. */
export async function openList(
  task: OpenTask,
  { first, data, variables, isCollected, when = [], unless = [] }: PlannedBranch,
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { path, visit } = task;
  const input = data === 'input' ? task.input : data === 'last' ? lastOutput(task) : data.value;
  const holds = async (template: Template) =>
    isTruthy(await evaluateIn(task, template, { data: input, variables }, evaluation));
  for (const [templates, expected] of [
    [when, true],
    [unless, false],
  ] as const) {
    for (const template of templates) {
      if ((await holds(template)) !== expected) return { type: 'branch-refused', path, visit, first };
    }
  }
  return {
    type: 'branch-opened',
    path,
    visit,
    branch: evaluation.state.lastBranch + 1,
    first,
    ...(data === 'last' && { takesLast: true }),
    ...(typeof data === 'object' && { data: data.value ?? null }),
    ...(variables !== undefined && { variables }),
    ...(isCollected === true && { isCollected: true }),
  };
}

/** Evaluates whether an event is one that the task waits for. */
export async function matchEvent(
  task: OpenTask,
  { event, awaited }: { event: { receipt: number; value: unknown }; awaited: AwaitedEvents },
  evaluation: TaskEvaluation,
): Promise<RunEvent> {
  const { path, visit } = task;
  const { receipt, value } = event;
  const { when, variables } = awaited;
  const match = when === undefined || (await evaluateIn(task, when, { data: value, variables }, evaluation));
  if (!isTruthy(match)) return { type: 'event-passed', path, visit, receipt };
  return { type: 'event-taken', path, visit, receipt, ...(match !== true && { match }) };
}

/** What a task that is under way began with, before `input.from`. */
const rawInputOf = (branch: Branch | undefined, state: RunState) =>
  branch === undefined ? state.input : branch.data;

/** With what is in scope inside the task. */
function evaluateIn(
  task: OpenTask,
  template: Template,
  { data, variables = {} }: { data: unknown; variables: Readonly<Record<string, unknown>> | undefined },
  evaluation: TaskEvaluation,
): Promise<unknown> {
  const { startedAtMs, input, branch } = task;
  const node = evaluation.workflow.tasks.get(task.path);
  if (node === undefined) throw notUnderstood(`The definition has no task '${task.path}'`);
  const locals = { ...variablesAt(branch), ...variables };
  const rawInput = rawInputOf(branch, evaluation.state);
  const scope = createScope({ ...evaluation, node, startedAtMs, locals }, { data, input, rawInput });
  return evaluateTemplate(template, scope, evaluation.expressions);
}

/** As jq sees it: everything but `false` and `null`. */
const isTruthy = (value: unknown) => value !== false && value !== null && value !== undefined;
