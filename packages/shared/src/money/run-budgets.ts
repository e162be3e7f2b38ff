import type { Clock, Scheduled } from '../clock.ts';
import type { Envelope } from '../identity/envelope.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Budgets } from './budgets.ts';
import type { Subject } from './subject.ts';

/** Budgets of runs: opened with a run's first call, carried by its envelope, closed when it has ended ($-1). */
export interface RunBudgets {
  /**
   * The envelope of a call of a run, naming the budget that the call spends from: the run's own where runs have a limit, else what the envelope
   * names already.
   *
   * `run` is what the run was given when it was created or resumed, and whose budget it is: that of the run which started it and waits for it.
   *
   * @throws GatewayError budget_exceeded when whoever started the run has not so much left.
   */
  cover<Own extends RunEnvelope>(envelope: Own, run?: CoveredRun): Promise<Own>;
  close(): void;
}

export interface CoveredRun {
  readonly runId: string;
  /** Raises the budget when it is more than before; undefined: what is configured. */
  readonly limitNanoUsd: bigint | undefined;
}

/** Before it is signed. */
type RunEnvelope = Omit<Envelope, 'issuer'>;

const sweepMs = 30_000;
const sweepSize = 200;
const maxKnown = 50_000;

export function createRunBudgets(options: {
  readonly budgets: Budgets;
  readonly clock: Clock;
  readonly log: Logger;
  /** What one run may spend; undefined: runs have no budget of their own. */
  readonly limitNanoUsd: () => bigint | undefined;
  readonly hasEnded: (run: { readonly tenant: string; readonly runId: string }) => Promise<boolean>;
}): RunBudgets {
  const { budgets, clock, log } = options;
  /** Runs whose budget this process has opened, with its limit. */
  const known = new Map<string, OpenBudget>();

  async function open(envelope: RunEnvelope, runId: string, limitNanoUsd: bigint): Promise<OpenBudget> {
    const before = known.get(runId);
    if (before !== undefined && before.wholeNanoUsd >= limitNanoUsd) return before;
    const opened = await nextBudget(runId, limitNanoUsd);
    await budgets.openRun({ ...opened, runId, starter: starterOf(envelope) });
    const [oldest] = known.keys();
    if (known.size >= maxKnown && oldest !== undefined) known.delete(oldest);
    known.set(runId, opened);
    return opened;
  }

  /** A run that ended and is taken up again has what its closed budgets left: each time under another one. */
  async function nextBudget(runId: string, limitNanoUsd: bigint): Promise<OpenBudget> {
    let left = limitNanoUsd;
    for (let life = 1; ; life++) {
      const id = runBudgetId(runId, life);
      if ((await budgets.store.find(id))?.isClosed !== true)
        return { id, limitNanoUsd: left, wholeNanoUsd: limitNanoUsd };
      const spent = (await budgets.store.totals(id))?.spentNanoUsd ?? 0n;
      left = left > spent ? left - spent : 0n;
    }
  }

  /** By looking and not by being told, so that no budget stays open because somebody died before telling. */
  async function sweep(): Promise<void> {
    const unseen = new Set(known.keys());
    let after = '';
    for (;;) {
      const page = await budgets.store.openRuns({ after, limit: sweepSize });
      for (const { id, tenant, runId } of page) {
        if (!(await options.hasEnded({ tenant, runId }))) unseen.delete(runId);
        else await budgets.closeRun(id);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < sweepSize) break;
      after = last.id;
    }
    // Closed just now, or by another process.
    for (const runId of unseen) known.delete(runId);
  }

  let isClosed = false;
  let timer: Scheduled = clock.schedule(sweepMs, beat);
  function beat(): void {
    void sweep()
      .catch(error => log.warn({ error }, 'budgets of ended runs could not be closed'))
      .finally(() => {
        if (!isClosed) timer = clock.schedule(sweepMs, beat);
      });
  }

  return {
    async cover(envelope, run) {
      const limitNanoUsd = run?.limitNanoUsd ?? options.limitNanoUsd();
      const runId = run?.runId ?? envelope.runId;
      if (limitNanoUsd === undefined || runId === undefined) return envelope;
      const opened = await open(envelope, runId, limitNanoUsd);
      return { ...envelope, grant: { id: opened.id, remainingNanoUsd: opened.limitNanoUsd } };
    },
    close() {
      isClosed = true;
      timer.cancel();
    },
  };
}

interface OpenBudget {
  readonly id: string;
  readonly limitNanoUsd: bigint;
  /** Of all budgets that the run has had. */
  readonly wholeNanoUsd: bigint;
}

function runBudgetId(runId: string, life: number): string {
  return life === 1 ? `run:${runId}` : `run:${runId}~${life}`;
}

function starterOf({ tenant, team, project, subject, keyId, tags, grant }: RunEnvelope) {
  const subjects: Subject[] = [
    { kind: 'organisation', id: tenant },
    { kind: 'team', id: team },
    { kind: 'project', id: project },
    { kind: 'principal', id: subject },
    ...(keyId === undefined ? [] : [{ kind: 'key', id: keyId } as const]),
    ...tags.map(id => ({ kind: 'tag', id }) as const),
  ];
  return { tenant, subjects, runBudgetId: grant?.id };
}
