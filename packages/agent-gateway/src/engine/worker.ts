import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Claim, NewRun } from '../domain/append.ts';
import type { MadeRun } from '../domain/journal.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import type { DriverDeps } from './run-context.ts';
import { RunDriver } from './run-driver.ts';

export interface WorkerOptions {
  /** Names this worker in leases; new with every start. */
  readonly owner: string;
  readonly maxActiveRuns: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** How long calls under way may take when the worker stops. */
  readonly stopMs: number;
  /** The longest that a due run waits if a hint is lost: another process may have written it. */
  readonly pollMs: number;
}

/** A run that is being made. */
interface Arriving {
  readonly made: Promise<MadeRun>;
  isAsked: boolean;
}

interface Active {
  readonly driver: RunDriver;
  readonly tenant: string;
  readonly ended: Promise<void>;
}

/** Claims runs that are due, drives them, and keeps their leases. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #deps: DriverDeps;
  readonly #active = new Map<string, Active>();
  #heartbeat: Scheduled | undefined;
  #poll: Scheduled | undefined;
  #scan: Promise<void> | undefined;
  #isScanWanted = false;
  /** Runs may be due that came before those that are made now. */
  #isBehind = true;
  /** What a claim that is under way may bring. */
  #claiming = 0;
  /** By id. */
  readonly #arriving = new Map<string, Arriving>();
  #isStarted = false;
  #isStopped = false;

  constructor(options: WorkerOptions, deps: DriverDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get activeRuns(): number {
    return this.#active.size;
  }

  start(): void {
    this.#isStarted = true;
    this.#beat();
    this.scan();
  }

  /**
   * Makes a run and drives it from the same moment, claimed in the transaction that makes it: what begins here need not be looked for. A
   * run for which there is no room, or before which others come, is left to whoever claims it.
   */
  async create(run: NewRun): Promise<MadeRun> {
    const isLeft = this.#isBehind || this.#room <= 0 || this.#arriving.has(run.id);
    if (!this.#isStarted || this.#isStopped || isLeft) {
      const made = await this.#deps.journal.createRun(run);
      if (made.isNew) this.scan();
      return made;
    }
    const made = this.#createHeld(run);
    this.#arriving.set(run.id, { made, isAsked: false });
    return made.finally(() => this.#arriving.delete(run.id));
  }

  async #createHeld(run: NewRun): Promise<MadeRun> {
    const { journal, clock } = this.#deps;
    const { owner, leaseMs } = this.#options;
    const made = await journal.createRun(run, { owner, leaseMs, nowMs: clock.now() });
    const { claim, isNew } = made;
    if (claim !== undefined) {
      const driver = this.#drive(claim, recordsOf(run));
      if (this.#arriving.get(run.id)?.isAsked) driver.ask();
    } else if (isNew) this.scan();
    return made;
  }

  get #room(): number {
    return this.#options.maxActiveRuns - this.#active.size - this.#arriving.size - this.#claiming;
  }

  /** Something may be due. */
  scan(): void {
    if (!this.#isStarted || this.#isStopped) return;
    if (this.#scan !== undefined) {
      this.#isScanWanted = true;
      return;
    }
    this.#isScanWanted = false;
    this.#scan = this.#claimDue()
      .catch((error: unknown) => {
        this.#deps.telemetry.log.error({ err: error }, 'due runs could not be claimed');
        if (!this.#isStopped) this.#poll = this.#deps.clock.schedule(this.#options.pollMs, () => this.scan());
      })
      .then(() => {
        this.#scan = undefined;
        if (this.#isScanWanted) this.scan();
      });
  }

  /** Somebody asked something of a run. */
  ask(runId: string): void {
    const active = this.#active.get(runId);
    if (active !== undefined) {
      active.driver.ask();
      return;
    }
    const arriving = this.#arriving.get(runId);
    if (arriving !== undefined) arriving.isAsked = true;
    this.scan();
  }

  /** Lets calls under way end, writes down what they gave, and lets go of every run. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#poll?.cancel();
    await Promise.allSettled([this.#scan, ...[...this.#arriving.values()].map(({ made }) => made)]);
    for (const { driver } of this.#active.values()) driver.stop();
    const ended = Promise.all([...this.#active.values()].map(each => each.ended));
    const patience = new AbortController();
    const late = this.#deps.clock.sleep(this.#options.stopMs, patience.signal).catch(() => {});
    await Promise.race([ended, late]);
    patience.abort();
    for (const { driver } of this.#active.values()) {
      driver.abandon(new GatewayError('cancelled', 'The gateway is shutting down.', { reason: 'draining' }));
    }
    await ended;
    this.#heartbeat?.cancel();
  }

  async #claimDue(): Promise<void> {
    const { journal, clock } = this.#deps;
    const { owner, pollMs } = this.#options;
    this.#poll?.cancel();
    for (;;) {
      const limit = Math.min(100, this.#room);
      this.#isBehind ||= limit <= 0;
      if (limit <= 0 || this.#isStopped) break;
      const claims = await this.#claim(limit);
      for (const claim of claims) this.#drive(claim);
      this.#isBehind = claims.length >= limit;
      if (!this.#isBehind) break;
    }
    if (this.#isStopped || this.#isScanWanted) return;
    const wakeAtMs = await journal.nextWakeAt(owner);
    const waitMs = Math.min(pollMs, Math.max(1, (wakeAtMs ?? Number.POSITIVE_INFINITY) - clock.now()));
    this.#poll = clock.schedule(waitMs, () => this.scan());
  }

  async #claim(limit: number): Promise<Claim[]> {
    const { journal, clock } = this.#deps;
    const { owner, leaseMs } = this.#options;
    this.#claiming = limit;
    try {
      const active = this.#activeByTenant();
      return await journal.claim({ owner, nowMs: clock.now(), leaseMs, limit, active });
    } finally {
      this.#claiming = 0;
    }
  }

  #activeByTenant(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { tenant } of this.#active.values()) counts[tenant] = (counts[tenant] ?? 0) + 1;
    return counts;
  }

  #drive(claim: Claim, made?: readonly JournalRecord[]): RunDriver {
    const { runId, tenant } = claim;
    const driver = new RunDriver(claim, this.#deps);
    // A process that stood still past its lease may claim a run again that it still drives: the old claim is void.
    this.#active.get(runId)?.driver.abandon(takenOver());
    const ended = driver
      .drive(made)
      .catch((error: unknown) => this.#report(error, runId))
      .then(() => {
        if (this.#active.get(runId)?.driver === driver) this.#active.delete(runId);
        for (const effect of this.#deps.effects.values()) void effect.release?.(runId);
        this.scan();
      });
    this.#active.set(runId, { driver, tenant, ended });
    return driver;
  }

  /** The lease runs out, and a worker, perhaps this one, tries again from what is on disk. */
  #report(error: unknown, runId: string): void {
    const { log } = this.#deps.telemetry;
    if (error instanceof GatewayError && error.reason === 'run_taken_over')
      log.warn({ runId }, 'another worker has taken the run over');
    else log.error({ runId, err: error }, 'the run could not be driven on');
  }

  #beat(): void {
    const { journal, clock, telemetry } = this.#deps;
    const { owner, leaseMs, heartbeatMs } = this.#options;
    this.#heartbeat = clock.schedule(heartbeatMs, () => {
      const before = [...this.#active];
      journal
        .renew({ owner, runIds: before.map(([runId]) => runId), nowMs: clock.now(), leaseMs })
        .then(({ held, asked }) => {
          const lost = before.filter(([runId]) => !held.includes(runId));
          for (const [, { driver }] of lost) driver.abandon(takenOver());
          for (const runId of asked) this.ask(runId);
        })
        .catch((error: unknown) => telemetry.log.error({ err: error }, 'leases could not be renewed'))
        .finally(() => this.#beat());
    });
  }
}

/** As they will be read. Undefined when they are more than the first. */
function recordsOf({ event, fork, records, atMs }: NewRun): JournalRecord[] | undefined {
  if (fork !== undefined || records !== undefined) return undefined;
  const payload = JSON.stringify(event);
  return [{ seq: 1, atMs, event: JSON.parse(payload) as NewRun['event'], bytes: payload.length }];
}

function takenOver(): GatewayError {
  return new GatewayError('conflict', 'The lease was lost.', { reason: 'run_taken_over' });
}
