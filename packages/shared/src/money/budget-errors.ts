import { GatewayError } from '../errors/gateway-error.ts';
import { usdText } from './nano-usd.ts';
import { type Subject, subjectText } from './subject.ts';

export function unknownBudget(id: string): GatewayError {
  return new GatewayError('not_found', `There is no budget '${id}'.`, { reason: 'unknown_budget' });
}

export function budgetChanged(id: string): GatewayError {
  return new GatewayError('conflict', `The budget '${id}' was changed meanwhile. Read it again.`, {
    reason: 'budget_changed',
  });
}

/** What processes that are gone hold is not what somebody found out about: another one went, or it was settled already. */
export function lostChanged(
  id: string,
  { heldNanoUsd, lostNanoUsd }: { readonly heldNanoUsd: bigint; readonly lostNanoUsd: bigint },
): GatewayError {
  return new GatewayError(
    'conflict',
    `Processes that are gone hold ${usdText(heldNanoUsd)} USD of the budget '${id}' now, not ${usdText(lostNanoUsd)}. Read it again, and find out what was spent of that.`,
    { reason: 'lost_changed', param: 'lost_usd' },
  );
}

/** More is said to have been spent than processes that are gone ever held. */
export function moreThanLost(lostNanoUsd: bigint): GatewayError {
  return new GatewayError(
    'conflict',
    `Processes that are gone held ${usdText(lostNanoUsd)} USD of this budget; no more than that can be what they spent.`,
    { reason: 'more_than_lost', param: 'spent_usd' },
  );
}

/** What a caller may know of a budget that has not enough left: whose it is, and by how much the request is too dear. */
export function budgetExceeded(refusal: {
  readonly subject: Subject;
  readonly neededNanoUsd: bigint;
  readonly availableNanoUsd: bigint;
  readonly resetsAtMs: number | undefined;
}): GatewayError {
  const { subject, neededNanoUsd, availableNanoUsd, resetsAtMs } = refusal;
  const resets = resetsAtMs === undefined ? '' : ` It begins anew at ${new Date(resetsAtMs).toISOString()}.`;
  return new GatewayError(
    'budget_exceeded',
    `The budget of ${subjectText(subject)} has ${usdText(availableNanoUsd)} USD left; this request may cost up to ${usdText(neededNanoUsd)} USD.${resets}`,
    {
      reason: 'budget_exceeded',
      details: {
        budget_subject: subjectText(subject),
        needed_nano_usd: String(neededNanoUsd),
        available_nano_usd: String(availableNanoUsd),
        ...(resetsAtMs !== undefined && { resets_at: new Date(resetsAtMs).toISOString() }),
      },
    },
  );
}
