import type { Clock } from '@strata/shared/clock.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { newId } from '@strata/shared/ids.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { ToolPrice } from '../domain/upstream.ts';
import type { CallContext, CallStage } from './call-context.ts';
import { callOutcome } from './call-outcome.ts';

/**
 * Books each call of a tool that has a price. A call that was answered costs its price, also when the tool failed; of one that was not,
 * nobody knows, and the entry says so ($-2). When nothing can be booked, nothing that costs is begun ($-3).
 */
export function bookCall(ledger: UsageLedger, clock: Clock): CallStage {
  return async (context, next) => {
    const price = priceOf(context);
    if (!price) return next();
    ledger.requireRoom();
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
      });
    }
  };
}

function priceOf({ frame, upstream, serverName }: CallContext): ToolPrice | undefined {
  if (frame.method !== 'tools/call' || serverName === undefined) return undefined;
  return upstream.policy.toolPrices.find(({ tools }) => matchesScope([tools], serverName));
}
