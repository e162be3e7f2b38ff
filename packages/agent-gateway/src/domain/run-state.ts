import { noScopes } from '@strata/shared/identity/scopes.ts';
import type {
  JournalRecord,
  Resolution,
  RunError,
  RunEvent,
  RunIdentity,
  RunLimits,
  Usage,
} from './run-events.ts';
import type { Next } from './workflow.ts';

export type RunStatus = 'pending' | 'running' | 'waiting' | 'in_doubt' | 'completed' | 'failed' | 'cancelled';

export type CallState =
  | { readonly status: 'started'; readonly attempt: number }
  | { readonly status: 'completed'; readonly result: unknown }
  | { readonly status: 'retrying'; readonly attempt: number; readonly retryAtMs: number }
  | { readonly status: 'failed'; readonly error: RunError }
  | { readonly status: 'in-doubt'; readonly attempt: number }
  | { readonly status: 'parked'; readonly attempt: number }
  /** An operator said: again. */
  | { readonly status: 'released'; readonly attempt: number };

/** The task that is being worked on, and every call it has made so far. */
export interface ActiveTask {
  readonly path: string;
  readonly visit: number;
  readonly input: unknown;
  readonly arguments: unknown;
  readonly startedAtMs: number;
  readonly deadlineAtMs: number | undefined;
  readonly calls: Map<string, CallState>;
}

/** An open task list: the root, or a `do` that has begun and not ended. */
export interface Frame {
  readonly path: string;
  readonly visit: number;
  readonly input: unknown;
  readonly startedAtMs: number;
  readonly deadlineAtMs: number | undefined;
  /** Output of the last task in the list: the raw input of the next one. */
  data: unknown;
  next: Next;
}

/**
 * The fold of a journal. `apply` changes it in place, because a run of ten thousand tasks would otherwise copy its maps ten
 * thousand times; nobody else may.
 */
export interface RunState {
  status: RunStatus;
  /** Sequence number of the last record that was folded in. */
  position: number;
  workflow: string;
  definition: string;
  input: unknown;
  context: unknown;
  output: unknown;
  error: RunError | undefined;
  identity: RunIdentity;
  limits: RunLimits;
  createdAtMs: number;
  deadlineAtMs: number;
  /** Parent of the spans of the next worker. */
  traceparent: string;
  isStarted: boolean;
  isCancelRequested: boolean;
  readonly frames: Frame[];
  task: ActiveTask | undefined;
  /** Set when a task has failed and nothing has answered it yet. */
  failure: RunError | undefined;
  readonly visits: Map<string, number>;
  steps: number;
  recordedBytes: number;
  costNanoUsd: bigint;
  inputTokens: number;
  outputTokens: number;
  /** Calls whose price is not known; the sum above leaves them out. */
  unpricedCalls: number;
}

export const terminalStatuses: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'cancelled']);

export function emptyRun(): RunState {
  return {
    status: 'pending',
    position: 0,
    workflow: '',
    definition: '',
    input: undefined,
    context: null,
    output: undefined,
    error: undefined,
    identity: {
      tenant: '',
      principal: '',
      keyId: undefined,
      actors: [],
      scopes: noScopes,
      depth: 0,
    },
    limits: { maxSteps: 0, maxVisits: 0, maxValueBytes: 0, maxJournalBytes: 0 },
    createdAtMs: 0,
    deadlineAtMs: 0,
    traceparent: '',
    isStarted: false,
    isCancelRequested: false,
    frames: [],
    task: undefined,
    failure: undefined,
    visits: new Map(),
    steps: 0,
    recordedBytes: 0,
    costNanoUsd: 0n,
    inputTokens: 0,
    outputTokens: 0,
    unpricedCalls: 0,
  };
}

/** Folds a whole journal. */
export function replay(records: Iterable<JournalRecord>): RunState {
  const state = emptyRun();
  for (const record of records) apply(state, record);
  return state;
}

/** Folds one more record into the state. */
export function apply(state: RunState, record: JournalRecord): void {
  if (record.seq !== state.position + 1)
    throw new Error(`Journal gap: expected ${state.position + 1}, found ${record.seq}`);
  state.position = record.seq;
  state.recordedBytes += record.bytes;
  applyEvent(state, record.event, record.atMs);
}

function applyEvent(state: RunState, event: RunEvent, atMs: number): void {
  switch (event.type) {
    case 'run-created':
      state.workflow = event.workflow;
      state.definition = event.definition;
      state.input = event.input;
      state.identity = event.identity;
      state.limits = event.limits;
      state.createdAtMs = atMs;
      state.deadlineAtMs = event.deadlineAtMs;
      state.traceparent = event.traceparent;
      return;
    case 'run-started':
      state.traceparent = event.traceparent;
      state.isStarted = true;
      state.status = 'running';
      return;
    case 'task-started':
      startTask(state, event, atMs);
      return;
    case 'task-skipped':
      countVisit(state, event.path, event.visit);
      moveOn(state, event.next, topFrame(state).data);
      return;
    case 'task-completed':
      completeTask(state, event);
      return;
    case 'task-failed':
      state.task = undefined;
      state.failure = event.error;
      return;
    case 'cancel-requested':
      state.isCancelRequested = true;
      return;
    case 'run-completed':
      end(state, 'completed');
      state.output = event.output;
      return;
    case 'run-failed':
      end(state, 'failed');
      state.error = event.error;
      return;
    case 'run-cancelled':
      end(state, 'cancelled');
      return;
    default:
      applyCall(state, event);
  }
}

type CallEvent = Extract<RunEvent, { readonly call: string }>;

function applyCall(state: RunState, event: CallEvent): void {
  const calls = state.task?.calls;
  if (calls === undefined) throw new Error(`'${event.type}' outside of a task`);
  const attempt = attemptOf(calls.get(event.call));
  switch (event.type) {
    case 'call-started':
      state.status = 'running';
      calls.set(event.call, { status: 'started', attempt: event.attempt });
      return;
    case 'call-completed':
      calls.set(event.call, { status: 'completed', result: event.result });
      book(state, event.costNanoUsd, event.usage);
      return;
    case 'call-failed':
      calls.set(
        event.call,
        event.retryAtMs === undefined
          ? { status: 'failed', error: event.error }
          : { status: 'retrying', attempt, retryAtMs: event.retryAtMs },
      );
      return;
    case 'call-in-doubt':
      calls.set(event.call, { status: 'in-doubt', attempt });
      return;
    case 'call-parked':
      calls.set(event.call, { status: 'parked', attempt });
      state.status = 'in_doubt';
      return;
    case 'call-resolved':
      calls.set(event.call, resolved(event.resolution, event.path, attempt));
      state.status = 'running';
      return;
  }
}

function resolved(resolution: Resolution, path: string, attempt: number): CallState {
  switch (resolution.action) {
    case 'retry':
      return { status: 'released', attempt };
    case 'complete':
      return { status: 'completed', result: resolution.result };
    case 'fail':
      return {
        status: 'failed',
        error: {
          type: 'https://serverlessworkflow.io/spec/1.0.0/errors/runtime',
          status: 500,
          title: 'Runtime error',
          detail: resolution.detail,
          instance: path,
          reason: 'resolved_as_failed',
        },
      };
  }
}

function attemptOf(call: CallState | undefined): number {
  return call !== undefined && 'attempt' in call ? call.attempt : 0;
}

function startTask(state: RunState, event: Extract<RunEvent, { type: 'task-started' }>, atMs: number): void {
  const raw = state.frames.length === 0 ? state.input : topFrame(state).data;
  const { path, visit } = event;
  const started = {
    path,
    visit,
    input: 'input' in event ? event.input : raw,
    startedAtMs: atMs,
    deadlineAtMs: event.deadlineAtMs,
  };
  countVisit(state, path, visit);
  if (event.first === undefined) {
    state.task = { ...started, arguments: event.arguments, calls: new Map() };
    return;
  }
  state.frames.push({ ...started, data: started.input, next: event.first });
}

function completeTask(state: RunState, event: Extract<RunEvent, { type: 'task-completed' }>): void {
  const raw = closeTask(state, event.path);
  const output = 'output' in event ? event.output : raw;
  if ('context' in event) state.context = event.context;
  if (state.frames.length === 0) state.output = output;
  else moveOn(state, event.next, output);
}

/** Ends the task or the open list and gives its output before any transformation that was not recorded. */
function closeTask(state: RunState, path: string): unknown {
  const { task } = state;
  if (task?.path === path) {
    state.task = undefined;
    return task.input;
  }
  const frame = state.frames.pop();
  if (task !== undefined || frame?.path !== path) throw new Error(`'${path}' is not the task that is open`);
  return frame.data;
}

function moveOn(state: RunState, next: Next, data: unknown): void {
  if (next === 'end') state.frames.length = 1;
  const frame = topFrame(state);
  frame.data = data;
  frame.next = next === 'end' ? null : next;
}

function topFrame(state: RunState): Frame {
  const frame = state.frames.at(-1);
  if (frame === undefined) throw new Error('No task list is open');
  return frame;
}

function countVisit(state: RunState, path: string, visit: number): void {
  state.visits.set(path, visit);
  state.steps++;
}

function book(state: RunState, costNanoUsd: string | undefined, usage: Usage | undefined): void {
  if (costNanoUsd !== undefined) state.costNanoUsd += BigInt(costNanoUsd);
  else if (usage !== undefined) state.unpricedCalls++;
  state.inputTokens += usage?.inputTokens ?? 0;
  state.outputTokens += usage?.outputTokens ?? 0;
}

function end(state: RunState, status: RunStatus): void {
  state.status = status;
  state.task = undefined;
  state.failure = undefined;
  state.frames.length = 0;
}
