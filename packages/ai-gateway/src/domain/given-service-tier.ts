import type { Attempt } from './call.ts';
import type { Loss } from './losses.ts';
import type { AnswerFacts } from './protocol.ts';

/** The tier of service that a target will be asked for, before it is: undefined where the request loses it on its way there. */
export type AskedTier = (attempt: Attempt) => string | undefined;

/** The tier that was given, which decides the price; where the answer does not say, the one that the target was asked for. */
export function givenServiceTier(
  { call, losses }: Pick<Attempt, 'call' | 'losses'>,
  facts: AnswerFacts | undefined,
): string | undefined {
  if (facts?.serviceTier !== undefined) return facts.serviceTier;
  return losses.some(isDroppedTier) ? undefined : call.request.serviceTier;
}

const isDroppedTier = ({ parameter, action }: Loss) => parameter === 'service_tier' && action === 'dropped';
