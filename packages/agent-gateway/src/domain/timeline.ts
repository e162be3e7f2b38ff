import type { JournalRecord, RunEvent, Usage } from './run-events.ts';

/** What kind of work a span is: a task, a question to a model, the use of a tool, a request, a person, another run. */
export type SpanKind = 'operation' | 'task' | 'model' | 'tool' | 'http' | 'human' | 'run' | 'other';

/** One piece of a run in time. */
export interface TimelineSpan {
  /** `path#visit` of a task, and `:call` behind it of a call. */
  readonly id: string;
  /** The task that a call belongs to, or the task around a task. */
  readonly parent: string | undefined;
  readonly kind: SpanKind;
  readonly name: string;
  readonly startedAtMs: number;
  endedAtMs: number | undefined;
  status: 'running' | 'completed' | 'failed' | 'skipped' | 'waiting' | 'in_doubt' | 'cancelled';
  attempts: number;
  costNanoUsd: bigint | undefined;
  usage: Usage | undefined;
  /** Reason of the error. */
  error: string | undefined;
  /** Another run did it, and paid for it. */
  isKept: boolean;
}

export interface Timeline {
  readonly spans: ReadonlyMap<string, TimelineSpan>;
  /** More spans began than are kept. */
  readonly isCut: boolean;
}

const kindOfEffect: Readonly<Record<string, SpanKind>> = {
  llm: 'model',
  agent: 'operation',
  mcp: 'tool',
  http: 'http',
  openapi: 'http',
  human: 'human',
};

type OfTask = { readonly path: string; readonly visit: number };
const taskId = ({ path, visit }: OfTask) => `${path}#${visit}`;
const callId = (of: OfTask & { readonly call: string }) => `${taskId(of)}:${of.call}`;

/**
 * The timeline of a run: a projection of its journal and of nothing else (AG-5), so it says the same on every worker, while the run goes
 * on, and years after it has ended.
 */
export class TimelineReader {
  readonly #spans = new Map<string, TimelineSpan>();
  /** Which span a list belongs to, by the number of the list. */
  readonly #owners = new Map<number, string>();
  readonly #children = new Map<string, string>();
  readonly #maxSpans: number;
  #isCut = false;
  #lastBranch = 0;

  constructor(options: { readonly maxSpans: number }) {
    this.#maxSpans = options.maxSpans;
  }

  get timeline(): Timeline {
    return { spans: this.#spans, isCut: this.#isCut };
  }

  read({ seq, atMs, event }: JournalRecord): void {
    switch (event.type) {
      case 'task-started':
        this.#open(taskId(event), { event, kind: 'task', name: nameOf(event.path), atMs });
        // A task that is nothing but its list opens it by beginning; lists are numbered through the run.
        if ('first' in event) this.#owners.set(++this.#lastBranch, taskId(event));
        return;
      case 'task-skipped':
        this.#open(taskId(event), { event, kind: 'task', name: nameOf(event.path), atMs });
        this.#end(taskId(event), atMs, 'skipped');
        return;
      case 'branch-opened':
        this.#lastBranch = event.branch;
        this.#owners.set(event.branch, taskId(event));
        return;
      case 'call-started':
        this.#callStarted(event, atMs);
        return;
      case 'call-completed':
        this.#end(callId(event), atMs, 'completed', {
          costNanoUsd: event.costNanoUsd === undefined ? undefined : BigInt(event.costNanoUsd),
          usage: event.usage,
        });
        return;
      case 'call-failed':
        if (event.retryAtMs === undefined)
          this.#end(callId(event), atMs, 'failed', { error: event.error.reason });
        else this.#change(callId(event), { status: 'waiting', error: event.error.reason });
        return;
      case 'call-held':
        this.#change(callId(event), { status: 'waiting', error: event.error.reason });
        return;
      case 'call-in-doubt':
      case 'call-parked':
        this.#change(callId(event), { status: 'in_doubt' });
        return;
      case 'call-resolved':
        this.#change(callId(event), { status: 'running' });
        return;
      case 'child-started':
        this.#childStarted(event, atMs);
        return;
      case 'child-ended':
        this.#end(this.#children.get(event.runId) ?? '', atMs, 'completed');
        return;
      case 'task-completed':
        this.#end(taskId(event), atMs, 'completed');
        return;
      case 'task-failed':
        this.#end(taskId(event), atMs, 'failed', { error: event.error.reason });
        return;
      case 'run-completed':
      case 'run-failed':
      case 'run-cancelled':
      case 'run-terminated':
        for (const span of this.#spans.values()) {
          if (span.endedAtMs === undefined) Object.assign(span, { status: 'cancelled', endedAtMs: atMs });
        }
        return;
      case 'run-rewound':
        this.#rewound(event, { seq, atMs });
        return;
      case 'run-forked':
        this.#forked(event, atMs);
        return;
      case 'run-imported': {
        const id = `import@${event.run}`;
        this.#open(id, { kind: 'operation', name: `import of ${event.run} by ${event.by}`, atMs });
        this.#end(id, atMs, 'completed');
        return;
      }
      case 'run-migrated': {
        const id = `migrate@${seq}`;
        this.#open(id, { kind: 'operation', name: `migrate to ${event.version} by ${event.by}`, atMs });
        this.#end(id, atMs, 'completed');
        return;
      }
      default:
    }
  }

  #forked(event: Extract<RunEvent, { type: 'run-forked' }>, atMs: number): void {
    for (const span of this.#spans.values()) {
      span.isKept = span.endedAtMs !== undefined;
      // Its calls under way are the other run's; those that this run begins have the same names.
      if (span.endedAtMs === undefined && span.kind !== 'task') this.#spans.delete(span.id);
    }
    const id = `fork@${event.run}`;
    this.#open(id, { kind: 'operation', name: `fork of ${event.run} by ${event.by}`, atMs });
    this.#end(id, atMs, 'completed');
  }

  /** Whoever took the run up again is named; what is open again goes on under its old name. */
  #rewound(event: Extract<RunEvent, { type: 'run-rewound' }>, at: { seq: number; atMs: number }): void {
    const id = `${event.verb}@${at.seq}`;
    this.#open(id, { kind: 'operation', name: `${event.verb} by ${event.by}`, atMs: at.atMs });
    this.#end(id, at.atMs, 'completed');
    for (const task of event.reopened)
      this.#change(taskId(task), { status: 'running', error: undefined, endedAtMs: undefined });
  }

  #callStarted(event: Extract<RunEvent, { type: 'call-started' }>, atMs: number): void {
    const id = callId(event);
    const known = this.#spans.get(id);
    if (known !== undefined) {
      Object.assign(known, {
        attempts: event.attempt,
        status: 'running',
        error: undefined,
        endedAtMs: undefined,
      });
      return;
    }
    const kind = kindOfEffect[event.effect] ?? 'other';
    this.#open(id, { kind, name: event.label, atMs, parent: taskId(event), attempts: event.attempt });
  }

  #childStarted(event: Extract<RunEvent, { type: 'child-started' }>, atMs: number): void {
    const id = `${taskId(event)}:${event.runId}`;
    this.#open(id, { kind: 'run', name: event.runId, atMs, parent: taskId(event) });
    if (event.isDetached === true) this.#end(id, atMs, 'completed');
    else this.#children.set(event.runId, id);
  }

  #open(
    id: string,
    span: {
      readonly kind: SpanKind;
      readonly name: string;
      readonly atMs: number;
      readonly event?: { readonly branch?: number };
      readonly parent?: string;
      readonly attempts?: number;
    },
  ): void {
    if (this.#spans.size >= this.#maxSpans) {
      this.#isCut = true;
      return;
    }
    const { kind, name, atMs, event, attempts = 1 } = span;
    const branch = event?.branch;
    this.#spans.set(id, {
      id,
      parent: span.parent ?? (branch === undefined ? undefined : this.#owners.get(branch)),
      kind,
      name,
      startedAtMs: atMs,
      endedAtMs: undefined,
      status: 'running',
      attempts,
      costNanoUsd: undefined,
      usage: undefined,
      error: undefined,
      isKept: false,
    });
  }

  #change(id: string, change: Partial<Pick<TimelineSpan, 'status' | 'error' | 'endedAtMs'>>): void {
    const span = this.#spans.get(id);
    if (span !== undefined) Object.assign(span, change);
  }

  #end(
    id: string,
    atMs: number,
    status: TimelineSpan['status'],
    rest: Partial<Pick<TimelineSpan, 'costNanoUsd' | 'usage' | 'error'>> = {},
  ): void {
    const span = this.#spans.get(id);
    if (span !== undefined) Object.assign(span, { endedAtMs: atMs, status, ...rest });
  }
}

const nameOf = (path: string) => (path === '' ? 'workflow' : path.slice(path.lastIndexOf('/') + 1));
