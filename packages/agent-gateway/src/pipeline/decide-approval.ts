import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import {
  type Approval,
  type ApprovalDecision,
  type Approvals,
  type DecisionSignal,
  decisionSignal,
  isAssigned,
} from '../domain/approval.ts';
import { type DataSchemas, firstProblem } from '../domain/data-schemas.ts';
import type { Journal } from '../domain/journal.ts';
import type { ApprovalStandings } from './approval-standing.ts';

export interface ApprovalDeps {
  readonly approvals: Approvals;
  readonly standings: ApprovalStandings;
  readonly journal: Journal;
  readonly schemas: DataSchemas;
  readonly clock: Clock;
  /** Somebody asked something of a run. */
  readonly onAsked: (runId: string) => void;
}

export interface Verdict {
  readonly decision: 'approved' | 'rejected';
  readonly digest: string;
  readonly comment: string | null;
  readonly data: unknown;
}

/**
 * Decides once, about exactly what was shown, and tells the run. The decision is on disk before the run hears of it; should this process
 * die in between, `redeliver` tells it.
 *
 * @throws GatewayError not_found (`approval_not_found`), conflict (`approval_content_differs`, `approval_decided`, `approval_not_awaited`, `run_ended`),
 *   invalid_request (`data_invalid`).
 */
export async function decideApproval(
  { id, verdict, caller }: { id: string; verdict: Verdict; caller: Caller },
  deps: ApprovalDeps,
): Promise<Approval> {
  const { approvals, standings, clock } = deps;
  const approval = await approvals.get(caller.tenant, id);
  // Whom it is not put to learns nothing about it.
  if (approval === undefined || !isAssigned(approval, caller)) throw approvalNotFound();
  if (verdict.digest !== approval.digest) {
    throw new GatewayError(
      'conflict',
      'The decision is about another content than is asked about. Read it again.',
      {
        reason: 'approval_content_differs',
      },
    );
  }
  const standing = await standings.of(approval);
  if (standing === 'void') throw nobodyWaits();
  if (standing !== 'pending') throw alreadyDecided();
  await requireForm(approval, verdict, deps);
  const { decision, comment, data } = verdict;
  const made: ApprovalDecision = { decision, comment, data, by: caller.principal, atMs: clock.now() };
  if (!(await approvals.decide(approval, made, caller))) throw alreadyDecided();
  const decided: Approval = { ...approval, status: decision, decision: made };
  await deliver(decided, deps);
  return decided;
}

/** Tells runs of decisions that they do not have yet. */
export async function redeliver(deps: ApprovalDeps, olderThanMs: number): Promise<void> {
  for (const approval of await deps.approvals.undelivered(olderThanMs)) {
    await deliver(approval, deps).catch((error: unknown) => {
      if (!(error instanceof GatewayError) || error.reason !== 'run_ended') throw error;
    });
  }
}

async function deliver(
  approval: Approval,
  { approvals, journal, clock, onAsked }: ApprovalDeps,
): Promise<void> {
  const { id, tenant, runId, decision } = approval;
  if (decision === undefined) throw new Error(`'${id}' was not decided`);
  const signal: DecisionSignal = { approval: id, decision };
  const payload = { id, name: decisionSignal, data: signal };
  const isTaken = await journal.request(tenant, runId, {
    kind: 'signal',
    payload,
    by: decision.by,
    atMs: clock.now(),
  });
  await approvals.delivered(id);
  if (!isTaken) throw new GatewayError('conflict', 'The run has ended meanwhile.', { reason: 'run_ended' });
  onAsked(runId);
}

async function requireForm(
  { form }: Approval,
  { decision, data }: Verdict,
  { schemas }: ApprovalDeps,
): Promise<void> {
  if (decision === 'rejected' || typeof form !== 'object' || form === null) return;
  const problems = await schemas.validate(form, data ?? null);
  const problem = firstProblem(problems);
  if (problem === undefined) return;
  throw new GatewayError('invalid_request', `The data is not what the form asks for${problem}`, {
    reason: 'data_invalid',
    param: 'data',
    details: { errors: problems },
  });
}

export function approvalNotFound(): GatewayError {
  return new GatewayError('not_found', 'There is no such approval.', { reason: 'approval_not_found' });
}

function nobodyWaits(): GatewayError {
  return new GatewayError('conflict', 'Nobody waits for this decision any more.', {
    reason: 'approval_not_awaited',
  });
}

function alreadyDecided(): GatewayError {
  return new GatewayError('conflict', 'It is decided, or too late to decide it.', {
    reason: 'approval_decided',
  });
}
