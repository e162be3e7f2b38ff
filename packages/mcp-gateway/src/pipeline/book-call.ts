import type { Clock } from '@strata/shared/clock.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Budgets } from '@strata/shared/money/budgets.ts';
import type { PriceOverrides } from '@strata/shared/money/price-overrides.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { ToolPrice } from '../domain/upstream.ts';
import type { CallContext, CallStage } from './call-context.ts';
import { callOutcome } from './call-outcome.ts';
import { toolSubjects } from './count-call.ts';

type BookedPrice = Pick<ToolPrice, 'nanoUsd' | 'version'>;

/**
 * Books each call of a tool that has a price. A call that was answered costs its price, also when the tool failed; of one that was not,
 * nobody knows, and the entry says so ($-2). When nothing can be booked, nothing that costs is begun ($-3).
 *
 * The price is set aside in every budget that bears it before the server is asked ($-1). A call without an answer keeps it: it may have
 * happened.
 */
export function bookCall(deps: {
  readonly ledger: UsageLedger;
  readonly budgets: Budgets;
  /** Where the server's configuration names none. */
  readonly prices: Pick<PriceOverrides, 'uses'>;
  readonly clock: Clock;
}): CallStage {
  const { ledger, budgets, prices, clock } = deps;
  const book = async (price: BookedPrice, context: CallContext, next: () => Promise<ResponseFrame>) => {
    ledger.requireRoom();
    const reservation = await budgets.reserve(
      spenderOf(context.caller, toolSubjects(context)),
      () => price.nanoUsd,
    );
    const startedAtMs = clock.now();
    const startedMs = clock.monotonic();
    let answer: ResponseFrame | undefined;
    let failure: unknown;
    try {
      answer = await next();
      return answer;
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      const { caller, exposedName, serverName, upstream } = context;
      ledger.record({
        id: newId('call'),
        atMs: startedAtMs,
        durationMs: clock.monotonic() - startedMs,
        gateway: 'mcp-gateway',
        tenant: caller.tenant,
        team: caller.team,
        project: caller.project,
        tags: caller.tags,
        agent: caller.envelope?.actors[0],
        tool: exposedName,
        principal: caller.principal,
        keyId: caller.keyId,
        runId: caller.envelope?.runId,
        taskId: caller.envelope?.taskId,
        alias: exposedName ?? '',
        provider: upstream.name,
        model: serverName ?? '',
        outcome: callOutcome(answer, failure),
        usage: undefined,
        usageSource: 'call',
        costNanoUsd: answer?.result ? price.nanoUsd : undefined,
        priceVersion: price.version,
        charges: reservation?.settle(answer === undefined || answer.result ? price.nanoUsd : 0n) ?? [],
      });
    }
  };
  return (context, next) => {
    const price = priceOf(context, prices);
    return price ? book(price, context, next) : next();
  };
}

function priceOf(
  { frame, upstream, serverName }: CallContext,
  prices: Pick<PriceOverrides, 'uses'>,
): BookedPrice | undefined {
  if (frame.method !== 'tools/call' || serverName === undefined) return undefined;
  return (
    upstream.policy.toolPrices.find(({ tools }) => matchesScope([tools], serverName)) ??
    prices.uses('tool').find(({ names }) => matchesScope([names], `${upstream.name}/${serverName}`))
  );
}
