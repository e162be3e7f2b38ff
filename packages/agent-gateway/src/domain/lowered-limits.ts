import * as z from 'zod';
import type { LimitOverrides } from './workflow.ts';

const amount = z.int().min(1).exactOptional();
const schema = z.strictObject({
  maxSteps: amount,
  maxVisits: amount,
  maxRunMs: amount,
  maxFanOut: amount,
  maxLiveTasks: amount,
  maxRepeats: amount,
  maxCostNanoUsd: z
    .string()
    .regex(/^\d{1,30}$/)
    .exactOptional(),
}) satisfies z.ZodType<LimitOverrides>;

/** What records from elsewhere say that a submission asked for. Throws when it is nothing that lowers a limit. */
export function checkLowered(lowered: unknown): LimitOverrides | undefined {
  return lowered === undefined ? undefined : schema.parse(lowered);
}
