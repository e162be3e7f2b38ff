import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Command } from '../domain/command.ts';
import { toRunError } from '../domain/run-error.ts';
import type { RunEvent } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';
import { beginTask, completeTask, matchEvent, openList, type TaskEvaluation } from './begin-task.ts';
import { reserveTasks } from './reserve-tasks.ts';
import type { DriverDeps, RunContext } from './run-context.ts';
import { planChildRun } from './spawn-run.ts';

/** What is left when a command was followed. */
export type Followed =
  | { readonly type: 'done' }
  /** Nothing of this run is to be done before then. */
  | { readonly type: 'wait'; readonly untilMs: number }
  /** It cannot be done right now: the run is let go of and tried again then. */
  | { readonly type: 'postponed'; readonly untilMs: number }
  | { readonly type: 'ended' };

type Open = Extract<Command, { readonly type: 'open' }>;
type Spawn = Extract<Command, { readonly type: 'spawn' }>;

const done: Followed = { type: 'done' };
const postponeMs = 1000;
/** Reasons that say nothing of the task: it is tried again a little later. */
const passing: ReadonlySet<string> = new Set(['expression_busy', 'journal_unavailable']);

/** Does what was decided. What has no effect outside is only collected; calls are durable before they go out (AG-1). */
export async function followCommand(
  command: Command,
  context: RunContext,
  deps: DriverDeps,
): Promise<Followed> {
  const { writer, state } = context;
  const evaluate = (of: OfTask, work: Evaluate) => evaluateInto({ context, of, deps }, work);
  switch (command.type) {
    case 'begin': {
      const { node, visit, branch } = command;
      const of = { path: node.path, visit, ...(branch !== undefined && { branch: branch.id }) };
      return evaluate(of, evaluation => beginTask(command, evaluation));
    }
    case 'complete': {
      const { node, visit } = command.task;
      return evaluate({ path: node.path, visit }, evaluation => completeTask(command, evaluation));
    }
    case 'open':
      return openLists(command, state, evaluate);
    case 'match': {
      const { path, visit } = command.task;
      return evaluate({ path, visit }, evaluation => matchEvent(command.task, command, evaluation));
    }
    case 'spawn': {
      const { path, visit } = command.task;
      return evaluate({ path, visit }, () => spawn(command, context, deps));
    }
    case 'record':
      for (const event of command.events) record(event, context);
      return done;
    case 'reserve':
      await reserveTasks(command, context);
      return done;
    case 'call':
      await context.calls.start(command, writer);
      return done;
    case 'wait':
      return command;
    case 'stop':
      await writer.flush();
      deps.telemetry.log.debug({ runId: context.claim.runId, status: state.status }, 'run ended');
      if (state.status === 'cancelled' || state.status === 'terminated') await cancelCalls(context, deps);
      return { type: 'ended' };
  }
}

interface OfTask {
  readonly path: string;
  readonly visit: number;
  readonly branch?: number;
}

type Evaluate = (evaluation: TaskEvaluation) => Promise<RunEvent>;

async function openLists(
  { task, branches }: Open,
  state: RunState,
  evaluate: (of: OfTask, work: Evaluate) => Promise<Followed>,
): Promise<Followed> {
  const { path, visit } = task;
  for (const branch of branches) {
    const followed = await evaluate({ path, visit }, evaluation => openList(task, branch, evaluation));
    if (followed.type !== 'done') return followed;
    if (!state.tasks.has(`${path}#${visit}`)) break; // its condition could not be evaluated
  }
  return done;
}

async function spawn({ task, child }: Spawn, context: RunContext, deps: DriverDeps): Promise<RunEvent> {
  const { claim, state, workflow, writer } = context;
  const { path, visit } = task;
  const of = { runId: claim.runId, state, workflow, nowMs: deps.clock.now() };
  const run = await planChildRun(child, of, deps);
  writer.spawn(run);
  const isDetached = child.isDetached ? { isDetached: true as const } : {};
  const { heldTasks: givenTasks } = run.event;
  const given = givenTasks === undefined ? {} : { givenTasks };
  return { type: 'child-started', path, visit, runId: run.id, ...isDetached, ...given };
}

/** Expressions may fail, which is the task's failure; that they are overloaded is not. */
async function evaluateInto(
  { context, of, deps }: { context: RunContext; of: OfTask; deps: DriverDeps },
  work: Evaluate,
): Promise<Followed> {
  const { types, expressions, schemas, policy, agentPrices, clock } = deps;
  const { claim, state, workflow } = context;
  try {
    const event = await work({
      runId: claim.runId,
      state,
      workflow,
      types,
      expressions,
      schemas,
      policy,
      agentPrices: agentPrices(),
      nowMs: clock.now(),
    });
    record(event, context);
  } catch (error) {
    if (error instanceof GatewayError && passing.has(error.reason))
      return { type: 'postponed', untilMs: clock.now() + postponeMs };
    record({ type: 'task-failed', ...of, error: toRunError(error, of.path) }, context);
  }
  return done;
}

function record(event: RunEvent, { writer, trace }: RunContext): void {
  writer.record(event);
  if (event.type === 'task-completed') trace.taskEnded(event);
  if (event.type === 'task-failed') trace.taskEnded(event, event.error.reason);
}

async function cancelCalls(
  { claim: { runId }, state: { identity } }: RunContext,
  { cancelRun, telemetry }: DriverDeps,
): Promise<void> {
  try {
    await cancelRun({ tenant: identity.tenant, runId });
  } catch (error) {
    telemetry.log.warn({ runId, err: error }, 'other gateways were not told that the run was cancelled');
  }
}
