import type { Clock } from '@strata/shared/clock.ts';
import type { Budgets } from '@strata/shared/money/budgets.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { AgentFeeCall } from '../domain/agent-fee.ts';
import type { Effect } from '../domain/effect.ts';

/**
 * Books the price of an agent: set aside in every budget that bears it, or refused ($-1), and in the ledger before the agent does anything.
 * The entry is named by the key of the call, so a worker that takes over books it once ($-3).
 */
export function createAgentFeeEffect(deps: {
  readonly budgets: Pick<Budgets, 'reserve'>;
  readonly ledger: UsageLedger;
  readonly clock: Clock;
}): Effect {
  const { budgets, ledger, clock } = deps;
  return {
    type: 'agent',
    async perform(request, context) {
      const { agent, nanoUsd: text, version } = request as AgentFeeCall; // planned by `planFee`
      const nanoUsd = BigInt(text);
      ledger.requireRoom();
      const payer = await context.payer();
      const reservation = await budgets.reserve(spenderOf(payer, []), () => nanoUsd);
      ledger.record({
        id: `fee_${context.idempotencyKey}`,
        atMs: clock.now(),
        durationMs: 0,
        gateway: 'agent-gateway',
        tenant: payer.tenant,
        team: payer.team,
        project: payer.project,
        principal: payer.principal,
        keyId: payer.keyId,
        tags: payer.tags,
        runId: context.runId,
        taskId: context.taskPath,
        // As the calls of its models and tools name it.
        agent: `agent:${agent.slice(agent.lastIndexOf('/') + 1)}`,
        alias: agent,
        provider: 'agent-gateway',
        model: '',
        outcome: 'succeeded',
        usage: undefined,
        usageSource: 'call',
        costNanoUsd: nanoUsd,
        priceVersion: version,
        charges: reservation?.settle(nanoUsd) ?? [],
      });
      await ledger.flush();
      return { result: null, costNanoUsd: nanoUsd };
    },
  };
}
