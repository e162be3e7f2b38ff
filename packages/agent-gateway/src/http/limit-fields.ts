import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import * as z from 'zod';
import type { RunLimits } from '../domain/run-terms.ts';
import type { LimitOverrides } from '../domain/workflow.ts';

const amount = z.int().min(1).max(1_000_000_000).optional();

/** Limits of a run that its submission may lower. */
const lowered = {
  steps: amount,
  visits: amount,
  fan_out: amount,
  live_tasks: amount,
  repeats: amount,
  run_ms: amount,
  cost_usd: z
    .string()
    .refine(text => parseUsd(text) !== undefined, "expected an amount in quotes, such as '2.50'")
    .optional(),
};
export const lowerFields = z.strictObject(lowered);

/** Limits that may be granted to a run that has met them. */
export const raiseFields = z.strictObject({ ...lowered, messages: amount, journal_bytes: amount });

const names = {
  steps: 'maxSteps',
  visits: 'maxVisits',
  fan_out: 'maxFanOut',
  live_tasks: 'maxLiveTasks',
  messages: 'maxMessages',
  repeats: 'maxRepeats',
  journal_bytes: 'maxJournalBytes',
  run_ms: 'maxRunMs',
} as const satisfies Record<string, keyof RunLimits>;

type Counts = Omit<z.output<typeof raiseFields>, 'cost_usd'>;

/** All but the money, under the names that the engine has for them. */
export function namedLimits(given: Counts): Readonly<Record<string, number>> {
  const named: Record<string, number> = {};
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) named[names[name as keyof typeof names]] = value; // checked by the schema
  return named;
}

export function readLowered({ cost_usd, ...counts }: z.output<typeof lowerFields>): LimitOverrides {
  return {
    ...namedLimits(counts),
    ...(cost_usd !== undefined && { maxCostNanoUsd: (parseUsd(cost_usd) ?? 0n).toString() }),
  };
}
