import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import type { AgentGatewayConfig } from './config.ts';
import type { RunLimits } from './domain/run-terms.ts';

/** The limits of a run that is created now. */
export function limitsOf({ limits }: AgentGatewayConfig): RunLimits {
  const costNanoUsd = limits.cost_usd === undefined ? undefined : parseUsd(limits.cost_usd);
  return {
    ...(costNanoUsd !== undefined && { maxCostNanoUsd: costNanoUsd.toString() }),
    maxSteps: limits.steps,
    maxVisits: limits.visits,
    maxValueBytes: limits.value_bytes,
    maxJournalBytes: limits.journal_bytes,
    maxRunMs: limits.run_ms,
    maxFanOut: limits.fan_out,
    maxLiveTasks: limits.live_tasks,
    maxMessages: limits.messages,
    maxRepeats: limits.repeats,
  };
}

export function storeRoomOf({ stored, limits }: AgentGatewayConfig) {
  return {
    most: stored.items_per_tenant,
    mostBytes: stored.item_bytes_per_tenant,
    valueBytes: limits.value_bytes,
  };
}

export function artifactRoomOf({ stored }: AgentGatewayConfig) {
  return { most: stored.artifacts_per_tenant, mostBytes: stored.artifact_bytes_per_tenant };
}

export function threadRoomOf({ stored, limits }: AgentGatewayConfig) {
  return { most: stored.threads_per_tenant, valueBytes: limits.value_bytes };
}
