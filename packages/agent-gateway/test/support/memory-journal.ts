import type { Append, NewRun, RunRequest } from '../../src/domain/append.ts';
import type { Journal, RunSummary, StoredDefinition } from '../../src/domain/journal.ts';
import {
  chooseFairly,
  defaultPriority,
  type QueuePlace,
  type QueueSummary,
  queuedUntil,
  rankOf,
} from '../../src/domain/queue.ts';
import type { CloudEvent, JournalRecord, RunEvent } from '../../src/domain/run-events.ts';
import { createMemoryOutbox } from './memory-outbox.ts';

interface Run {
  summary: RunSummary;
  readonly place: QueuePlace | undefined;
  readonly keepEndedMs: number | undefined;
  epoch: number;
  readonly rootRun: string | undefined;
  heldTasks: number;
  owner: string | undefined;
  wakeAtMs: number | undefined;
  slot: 'waiting' | 'held' | undefined;
  readonly records: JournalRecord[];
  inbox: RunRequest[];
  readonly types: Set<string>;
}

export interface MemoryJournal extends Journal {
  readonly runs: ReadonlyMap<
    string,
    { readonly records: readonly JournalRecord[]; readonly summary: RunSummary }
  >;
}

/**
 * A journal in memory for the simulator. It passes the contract of the others; with `isFenced: false` it takes what a stale worker
 * writes, which the simulator has to notice.
 */
export function createMemoryJournal({ isFenced = true }: { isFenced?: boolean } = {}): MemoryJournal {
  const runs = new Map<string, Run>();
  const definitions = new Map<string, StoredDefinition & { readonly atMs: number }>();
  const workflows = new Set<string>();
  const events: { tenant: string; key: string; type: string; payload: unknown; by: string; atMs: number }[] =
    [];
  const listeners = new Set<(runId: string) => void>();
  const outbox = createMemoryOutbox();
  const settings = new Map<string, { isPaused: boolean; limit: number | undefined }>();
  let lastRequest = 0;

  const open = (tenant: string, runId: string, kind: RunRequest['kind']) => {
    const run = runs.get(runId);
    if (run?.summary.tenant !== tenant) return undefined;
    return run.summary.endedAtMs === undefined || kind === 'rewind' ? run : undefined;
  };

  function request(
    tenant: string,
    runId: string,
    { kind, payload, by }: { kind: RunRequest['kind']; payload: unknown; by: string },
  ): boolean {
    const run = open(tenant, runId, kind);
    if (run === undefined) return false;
    run.inbox.push({ id: ++lastRequest, kind, payload: structuredClone(payload), by });
    if (run.owner === undefined) run.wakeAtMs = 0;
    return true;
  }

  function publish(tenant: string, event: CloudEvent, { by, atMs }: { by: string; atMs: number }): void {
    const key = `${tenant}\n${event.source}\n${event.id}`;
    if (events.some(each => each.key === key)) return;
    events.push({ tenant, key, type: event.type, payload: { event }, by, atMs });
    outbox.announce({
      kind: 'trigger',
      runId: '',
      tenant,
      workflow: '',
      events: [event],
      atMs,
    });
    for (const [runId, run] of runs) {
      if (run.types.has(event.type) || run.types.has('*'))
        request(tenant, runId, { kind: 'event', payload: { event }, by });
    }
  }

  function createRun(made: NewRun): RunSummary {
    const {
      event,
      atMs,
      fork,
      records: imported = [],
      keepEndedMs,
      queue,
      priority = defaultPriority,
      ...columns
    } = made;
    const known = [...runs.values()].find(
      ({ summary }) =>
        summary.id === made.id ||
        (made.idempotencyKey !== undefined &&
          summary.tenant === made.tenant &&
          summary.idempotencyKey === made.idempotencyKey),
    );
    if (known !== undefined) return known.summary;
    const summary: RunSummary = {
      ...columns,
      status: 'pending',
      position: fork === undefined ? 1 + imported.length : fork.to + 1,
      createdAtMs: atMs,
      updatedAtMs: atMs,
      endedAtMs: undefined,
      wakeAtMs: undefined,
      costNanoUsd: 0n,
      unpricedCalls: 0,
      inputTokens: 0,
      outputTokens: 0,
      priority,
      queue: queue?.name,
      isQueued: queue !== undefined,
    };
    const records: JournalRecord[] = [{ seq: 1, atMs, event: structuredClone(event), bytes: 100 }];
    for (const { payload, atMs: recordedAtMs } of imported) {
      const each = JSON.parse(payload) as RunEvent; // what the engine wrote
      records.push({ seq: records.length + 1, atMs: recordedAtMs, event: each, bytes: payload.length });
    }
    if (fork !== undefined) {
      const forked = JSON.parse(fork.record.payload) as RunEvent; // what the engine wrote
      records.push(...(runs.get(fork.runId)?.records.slice(1, fork.to) ?? []));
      records.push({ seq: fork.to + 1, atMs, event: forked, bytes: fork.record.payload.length });
    }
    runs.set(made.id, {
      summary,
      epoch: 0,
      rootRun: event.rootRun,
      heldTasks: event.heldTasks ?? 0,
      owner: undefined,
      wakeAtMs: queue === undefined ? atMs : queuedUntil(event),
      place: queue,
      keepEndedMs,
      slot: queue && 'waiting',
      records,
      inbox: [],
      types: new Set(),
    });
    if (queue !== undefined) letIn(made.tenant, queue.name, atMs);
    return runs.get(made.id)?.summary ?? summary;
  }

  const queued = (tenant: string, name: string) =>
    [...runs.values()].filter(
      ({ summary, slot }) => summary.tenant === tenant && summary.queue === name && slot !== undefined,
    );

  const waitingIn = (tenant: string, name: string) =>
    queued(tenant, name)
      .filter(({ slot }) => slot === 'waiting')
      .map(run => ({ run, rank: rankOf({ atMs: run.summary.createdAtMs, priority: run.summary.priority }) }))
      .sort((one, other) => one.rank - other.rank || (one.run.summary.id < other.run.summary.id ? -1 : 1));

  function summaryOf(tenant: string, name: string): QueueSummary | undefined {
    const all = queued(tenant, name);
    const { isPaused = false, limit } = settings.get(`${tenant}\n${name}`) ?? {};
    if (all.length === 0 && !isPaused && limit === undefined) return undefined;
    const waiting = waitingIn(tenant, name);
    return {
      name,
      limit,
      isPaused,
      running: all.length - waiting.length,
      waiting: waiting.length,
      nextCameAtMs: waiting[0]?.run.summary.createdAtMs,
    };
  }

  function letIn(tenant: string, name: string, atMs: number): void {
    const waiting = waitingIn(tenant, name);
    const { isPaused = false, limit } = settings.get(`${tenant}\n${name}`) ?? {};
    let running = queued(tenant, name).length - waiting.length;
    for (const { run } of waiting) {
      if (isPaused || running >= (limit ?? run.place?.limit ?? 0)) return;
      running++;
      run.slot = 'held';
      run.summary = { ...run.summary, isQueued: false };
      if (run.owner === undefined) run.wakeAtMs = atMs;
    }
  }

  function append(given: Append): boolean {
    const { claim, position, records, progress, atMs, consumed, isFinal } = given;
    const run = runs.get(claim.runId);
    if (run === undefined) return false;
    const { length } = run.records;
    if (isFenced && run.epoch === claim.epoch && given.isRepeat && length === position + records.length)
      return true;
    if (isFenced && (run.epoch !== claim.epoch || length !== position || run.owner === undefined))
      return false;
    for (const { payload, atMs: recordedAtMs } of records) {
      const event = JSON.parse(payload) as RunEvent; // what the engine wrote
      run.records.push({ seq: run.records.length + 1, atMs: recordedAtMs, event, bytes: payload.length });
    }
    const endedAtMs = isFinal ? (run.summary.endedAtMs ?? atMs) : undefined;
    const { heldTasks, ...shown } = progress;
    run.heldTasks = isFinal ? 0 : heldTasks;
    run.summary = {
      ...run.summary,
      ...shown,
      ...given.migrate,
      position: run.records.length,
      updatedAtMs: atMs,
      endedAtMs,
    };
    run.inbox = run.inbox.filter(({ id }) => !consumed?.includes(id));
    if (given.queue !== undefined) {
      run.slot = given.queue.step === 'leave' ? undefined : 'waiting';
      run.summary = { ...run.summary, isQueued: given.queue.step === 'wait' };
      letIn(run.summary.tenant, given.queue.name, atMs);
    }
    sendOut(given, run);
    if (isFinal) {
      Object.assign(run, { owner: undefined, wakeAtMs: undefined });
      if (progress.status !== 'moved') run.inbox = [];
      run.types.clear();
    }
    for (const listener of listeners) listener(claim.runId);
    return true;
  }

  function sendOut(
    { claim, spawn, tell, publish: published, announce, subscribe, atMs }: Append,
    run: Run,
  ): void {
    const { tenant, createdAtMs, namespace, name } = run.summary;
    const workflow = `${namespace}/${name}`;
    outbox.announce({ kind: 'webhook', runId: claim.runId, tenant, workflow, events: announce ?? [], atMs });
    for (const made of spawn ?? []) createRun(made);
    for (const { runId, ...told } of tell ?? []) request(tenant, runId, told);
    for (const event of published ?? []) publish(tenant, event, { by: `run:${claim.runId}`, atMs });
    for (const type of subscribe ?? []) {
      if (run.types.has(type)) continue;
      run.types.add(type);
      for (const each of events) {
        const isMissed =
          each.tenant === tenant && (type === '*' || each.type === type) && each.atMs >= createdAtMs;
        if (isMissed) request(tenant, claim.runId, { kind: 'event', payload: each.payload, by: each.by });
      }
    }
  }

  return {
    runs,
    outbox,
    async putDefinition(definition, atMs) {
      definitions.set(definition.hash, { ...definition, atMs });
    },
    getDefinition: async hash => definitions.get(hash),
    async putWorkflow(_tenant, { definition }) {
      workflows.add(definition);
      return 'created';
    },
    deleteWorkflow: async () => false,
    countMessages: async runId => {
      const run = runs.get(runId);
      const waiting = run?.inbox.filter(({ kind }) => kind === 'signal' || kind === 'event') ?? [];
      const received = run?.records.filter(({ event }) => event.type === 'event-received') ?? [];
      return waiting.length + received.length;
    },
    getWorkflow: async () => undefined,
    listWorkflows: async () => [],
    async createRun(made, lease) {
      const isMade = !runs.has(made.id);
      const summary = createRun(made);
      const isNew = summary.id === made.id;
      const run = runs.get(made.id);
      if (!isMade || !isNew || run === undefined || lease === undefined || made.queue !== undefined)
        return { isNew, run: summary };
      Object.assign(run, { owner: lease.owner, wakeAtMs: lease.nowMs + lease.leaseMs, epoch: 1 });
      const claim = { runId: made.id, tenant: made.tenant, isQueued: false, epoch: 1 };
      return { isNew, run: summary, claim };
    },
    async importRuns(made, asked) {
      const [first] = made;
      if (first === undefined) throw new Error('Nothing to import');
      const run = createRun(first);
      if (run.id !== first.id) return { isNew: false, run };
      for (const each of made.slice(1)) createRun(each);
      for (const told of asked) request(first.tenant, told.runId, told);
      return { isNew: true, run };
    },
    async getRun(tenant, runId) {
      const run = runs.get(runId);
      if (run?.summary.tenant !== tenant) return undefined;
      return { ...run.summary, wakeAtMs: run.owner === undefined ? run.wakeAtMs : undefined };
    },
    listRuns: async ({ before, limit, ...filter }) =>
      [...runs.values()]
        .map(each => each.summary)
        .filter(each => before === undefined || each.id < before)
        .filter(each => Object.entries(filter).every(([field, value]) => matches(each, field, value)))
        .sort((one, other) => (one.id < other.id ? 1 : -1))
        .slice(0, limit),
    read: async (runId, afterSeq, limit) =>
      (runs.get(runId)?.records ?? []).slice(afterSeq, afterSeq + limit),
    async claim({ owner, nowMs, leaseMs, limit, active = {} }) {
      const due = [...runs.values()].flatMap(({ summary, wakeAtMs }) =>
        wakeAtMs !== undefined && wakeAtMs <= nowMs ? [{ ...summary, wakeAtMs }] : [],
      );
      return chooseFairly(due, { active, limit }).flatMap(({ id, tenant }) => {
        const run = runs.get(id);
        if (run === undefined) return [];
        Object.assign(run, { owner, wakeAtMs: nowMs + leaseMs, epoch: run.epoch + 1 });
        return [{ runId: id, tenant, isQueued: run.slot === 'waiting', epoch: run.epoch }];
      });
    },
    async renew({ owner, runIds, nowMs, leaseMs }) {
      const held = runIds.filter(id => runs.get(id)?.owner === owner);
      for (const id of held) Object.assign(runs.get(id) ?? {}, { wakeAtMs: nowMs + leaseMs });
      return { held, asked: held.filter(id => (runs.get(id)?.inbox.length ?? 0) > 0) };
    },
    append: async given => append(given),
    async reserveTasks({ runId, epoch }, { rootRun, least, wanted, limit }) {
      const run = runs.get(runId);
      if (run === undefined || run.owner === undefined || run.epoch !== epoch) return undefined;
      const others = [...runs.values()].filter(
        each => each !== run && (each.summary.id === rootRun || each.rootRun === rootRun),
      );
      const total = Math.min(wanted, limit - others.reduce((sum, each) => sum + each.heldTasks, 0));
      if (total < least) return 0;
      run.heldTasks = total;
      return total;
    },
    async release({ runId, epoch }, { wakeAtMs, queuedUntilMs = wakeAtMs, isParked, status }) {
      const run = runs.get(runId);
      if (run === undefined || run.epoch !== epoch || run.owner === undefined) return false;
      const untilMs = run.slot === 'waiting' ? queuedUntilMs : wakeAtMs;
      Object.assign(run, { owner: undefined, wakeAtMs: run.inbox.length > 0 && !isParked ? 0 : untilMs });
      run.summary = { ...run.summary, status };
      return true;
    },
    async nextWakeAt(owner) {
      let earliest: number | undefined;
      for (const run of runs.values()) {
        if (run.wakeAtMs === undefined || run.owner === owner) continue;
        earliest = Math.min(earliest ?? Number.POSITIVE_INFINITY, run.wakeAtMs);
      }
      return earliest;
    },
    request: async (tenant, runId, asked) => request(tenant, runId, asked),
    requests: async runId => [...(runs.get(runId)?.inbox ?? [])],
    publish: async (tenant, event, published) => publish(tenant, event, published),
    nextPublisher: async after =>
      [...new Set(events.map(({ tenant }) => tenant))].sort().find(tenant => tenant > after),
    async trimEvents({ tenant, most, mostBytes, limit }) {
      const own = events.filter(each => each.tenant === tenant);
      const isTooMuch = (_: unknown, index: number) =>
        own.length - index > most || sizeOf(own.slice(index)) > mostBytes;
      const gone = own.filter(isTooMuch).slice(0, limit);
      for (const each of gone) events.splice(events.indexOf(each), 1);
      return gone.length === limit ? { id: 0, count: 0, bytes: 0 } : undefined;
    },
    async removeEvents({ tenant, beforeMs, limit }) {
      const open = [...runs.values()].filter(
        ({ summary }) => summary.tenant === tenant && summary.endedAtMs === undefined,
      );
      const untilMs = Math.min(beforeMs, ...open.map(({ summary }) => summary.createdAtMs));
      const old = events.filter(each => each.tenant === tenant && each.atMs < untilMs).slice(0, limit);
      for (const each of old) events.splice(events.indexOf(each), 1);
      return old.length;
    },
    async removeDefinitions({ beforeMs, after, limit }) {
      const looked = [...definitions.keys()]
        .filter(hash => hash > after)
        .sort()
        .slice(0, limit);
      for (const hash of looked) {
        const isNamed = [...runs.values()].some(({ summary }) => summary.definition === hash);
        const isOld = (definitions.get(hash)?.atMs ?? beforeMs) < beforeMs;
        if (isOld && !isNamed && !workflows.has(hash)) definitions.delete(hash);
      }
      return looked.at(-1);
    },
    async removeEnded({ beforeMs, limit, isOwn = false }) {
      const old = [...runs.values()]
        .filter(
          ({ summary, wakeAtMs, keepEndedMs }) =>
            wakeAtMs === undefined &&
            (!isOwn || keepEndedMs !== undefined) &&
            (summary.endedAtMs ?? beforeMs) + (isOwn ? (keepEndedMs ?? 0) : 0) < beforeMs,
        )
        .slice(0, limit);
      for (const { summary } of old) runs.delete(summary.id);
      return old.length;
    },
    async listQueues(tenant) {
      const names = new Set([...runs.values()].flatMap(({ summary: { queue } }) => queue ?? []));
      return [...names].sort().flatMap(name => summaryOf(tenant, name) ?? []);
    },
    getQueue: async (tenant, name) => summaryOf(tenant, name),
    async changeQueue(tenant, name, { limit, isPaused, atMs }) {
      const before = settings.get(`${tenant}\n${name}`) ?? { isPaused: false, limit: undefined };
      settings.set(`${tenant}\n${name}`, {
        limit: limit === undefined ? before.limit : (limit ?? undefined),
        isPaused: isPaused ?? before.isPaused,
      });
      letIn(tenant, name, atMs);
    },
    onAppend(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onDue: () => () => {},
    ping: async () => {},
    close: async () => {},
  };
}

const matches = (run: RunSummary, field: string, value: string | undefined) =>
  value === undefined || run[field as keyof RunSummary] === value;

/** By `publish`. */
const sizeOf = (events: readonly { readonly payload: unknown }[]) =>
  events.reduce(
    (sum, { payload }) => sum + Buffer.byteLength(JSON.stringify((payload as { event: CloudEvent }).event)),
    0,
  );
