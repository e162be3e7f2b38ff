import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import type { PriceOverrides } from '@strata/shared/money/price-overrides.ts';
import type { AgentPrice } from '../domain/agent-fee.ts';

/** What agents cost: as the configuration says, by globs over `namespace/name`; where it says nothing, as the admin API has set. */
export function agentPricesOf(
  configured: Readonly<Record<string, string>>,
  overrides: Pick<PriceOverrides, 'uses'>,
): AgentPrice[] {
  const written = Object.entries(configured).map(([agents, price]) => ({
    agents,
    nanoUsd: parseUsd(price) ?? 0n,
    version: `config:${agents}=${price}`,
  }));
  const set = overrides.uses('agent').map(({ names, ...price }) => ({ agents: names, ...price }));
  return [...written, ...set];
}
