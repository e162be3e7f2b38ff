import { canonicalJson, digestOf } from '@strata/shared/canonical-json.ts';
import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newTraceContext } from '@strata/shared/http/trace-context.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { duePlan, type KeptSchedule, type NextTime, type Schedules } from '../domain/schedule.ts';
import type { Workflow } from '../domain/workflow.ts';
import { type SubmitDeps, submitRun } from './submit-run.ts';

export interface ScheduleDeps extends SubmitDeps {
  readonly schedules: Schedules;
  readonly nextTime: NextTime;
  readonly loadDefinition: (hash: string, document: string) => Workflow;
  readonly onAsked: (runId: string) => void;
  readonly log: Logger;
}

const lookEveryMs = 1000;
const batch = 50;

/**
 * Starts what is due. Every process looks; a due time is one run all the same, because its idempotency key is made of the schedule and the
 * time. The run is on disk before the schedule moves on, so a process that dies in between loses none.
 */
export function startSchedules(deps: ScheduleDeps): { stop(): Promise<void> } {
  let timer: Scheduled | undefined;
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;
  const again = () => {
    if (isStopped) return;
    timer = deps.clock.schedule(lookEveryMs, () => {
      looking = runDue(deps)
        .catch((error: unknown) => deps.log.warn({ err: error }, 'schedules could not be read and wait'))
        .finally(again);
    });
  };
  again();
  return {
    async stop() {
      isStopped = true;
      timer?.cancel();
      await looking;
    },
  };
}

/** One look at what is due now. */
export async function runDue(deps: ScheduleDeps): Promise<void> {
  const { schedules, clock, log } = deps;
  for (const schedule of await schedules.due(clock.now(), batch)) {
    const { tenant, name } = schedule;
    await runOne(schedule, deps).catch((error: unknown) =>
      log.warn(
        { err: error, tenant, schedule: name },
        'a scheduled run could not be started and is tried again',
      ),
    );
  }
}

async function runOne(schedule: KeptSchedule, deps: ScheduleDeps): Promise<void> {
  const { schedules, clock, nextTime } = deps;
  const { runAtMs, nextAtMs } = duePlan(schedule, clock.now(), nextTime);
  const verdict = runAtMs === undefined ? 'skip' : await overlapVerdict(schedule, deps);
  if (verdict === 'wait') return;
  if (verdict === 'skip' || runAtMs === undefined) {
    await schedules.change(schedule, { nextAtMs });
    return;
  }
  const lastRunId = await startRun(schedule, runAtMs, deps).catch((error: unknown) => {
    // What can never be started (its workflow or its right is gone) must not be tried every second for ever.
    if (!(error instanceof GatewayError) || error.retryable) throw error;
    const { tenant, name } = schedule;
    deps.log.warn(
      { err: error, tenant, schedule: name },
      'a schedule was paused because its run cannot be started',
    );
    return undefined;
  });
  if (lastRunId === undefined) await schedules.change(schedule, { isPaused: true });
  else await schedules.change(schedule, { nextAtMs, lastRunId });
}

async function overlapVerdict(
  { tenant, lastRunId, overlap }: KeptSchedule,
  { journal, clock, onAsked }: ScheduleDeps,
): Promise<'run' | 'skip' | 'wait'> {
  if (lastRunId === undefined || overlap === 'allow') return 'run';
  const last = await journal.getRun(tenant, lastRunId);
  if (last === undefined || terminalStatuses.has(last.status)) return 'run';
  if (overlap === 'skip') return 'skip';
  if (overlap === 'queue') return 'wait';
  const request = {
    kind: 'cancel',
    payload: { detail: 'The next scheduled run is due.' },
    by: 'schedule',
  } as const;
  await journal.request(tenant, lastRunId, { ...request, atMs: clock.now() });
  onAsked(lastRunId);
  return 'run';
}

/** Starts the run of one due time; the same again when it was started before. @throws GatewayError not_found (`workflow_not_found`). */
export async function startRun(schedule: KeptSchedule, atMs: number, deps: ScheduleDeps): Promise<string> {
  const { tenant, name, workflow: id, input, caller, createdAtMs } = schedule;
  const stored = await deps.journal.getWorkflow(tenant, id);
  const definition = stored && (await deps.journal.getDefinition(stored.definition));
  if (definition === undefined) {
    throw new GatewayError('not_found', `There is no workflow ${id.namespace}/${id.name}@${id.version}.`, {
      reason: 'workflow_not_found',
    });
  }
  const { hash, document } = definition;
  const { run } = await submitRun(
    {
      workflow: deps.loadDefinition(hash, document),
      document,
      input,
      // The moment it was made tells it from one of the same name that was deleted.
      idempotencyKey: `schedule:${name}:${createdAtMs}:${atMs}`,
      digest: digestOf(canonicalJson({ schedule: name, atMs })),
      caller,
      trace: newTraceContext(),
    },
    deps,
  );
  return run.id;
}
