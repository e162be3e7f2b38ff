import { smaller } from '@strata/shared/money/nano-usd.ts';
import * as z from 'zod';
import type { RunState } from './run-state.ts';
import type { GrantedLimits, RunLimits } from './run-terms.ts';
import type { LimitOverrides, Workflow } from './workflow.ts';

const amount = z.int().min(1).exactOptional();
const loweredSchema = z.strictObject({
  maxSteps: amount,
  maxVisits: amount,
  /** None was a time that a definition could give once. */
  maxRunMs: z.int().min(0).exactOptional(),
  maxFanOut: amount,
  maxLiveTasks: amount,
  maxRepeats: amount,
  maxCostNanoUsd: z
    .string()
    .regex(/^\d{1,30}$/)
    .exactOptional(),
}) satisfies z.ZodType<LimitOverrides>;
const grantedSchema = loweredSchema.extend({
  maxMessages: amount,
  maxJournalBytes: amount,
}) satisfies z.ZodType<GrantedLimits>;

/** What records from elsewhere say that a submission asked for. Throws when it is nothing that lowers a limit. */
export function checkLowered(lowered: unknown): LimitOverrides | undefined {
  return lowered === undefined ? undefined : loweredSchema.parse(lowered);
}

/** What they say that it was granted. Throws when that is nothing that can be granted. */
export function checkGranted(granted: unknown): GrantedLimits {
  return grantedSchema.parse(granted);
}

/** What a run may that begins, or goes on, under this definition. */
export function limitsOfRun({
  configured,
  workflow,
  lowered = {},
  granted,
}: {
  readonly configured: RunLimits;
  readonly workflow: Pick<Workflow, 'limits'>;
  readonly lowered?: LimitOverrides | undefined;
  readonly granted?: GrantedLimits;
}): RunLimits {
  return { ...lower(lower(configured, workflow.limits), lowered), ...granted };
}

/** How a run belongs to others: to a tree of runs, and to the budget of one above it. */
export interface RunTies {
  readonly isStartedByRun: boolean;
  readonly spendsOfOther: boolean;
}

export function tiesOf({ rootRun, parent, identity }: RunState): RunTies {
  const spendsOfOther = identity.spendsOf !== undefined;
  return { isStartedByRun: rootRun !== undefined || parent !== undefined || spendsOfOther, spendsOfOther };
}

/** What a definition limits for a run of it. What a tree has together, its open tasks and its budget, the run above says. */
export function limitsFor(
  limits: LimitOverrides,
  { isStartedByRun, spendsOfOther }: RunTies,
): LimitOverrides {
  const { maxLiveTasks, maxCostNanoUsd, ...own } = limits;
  return {
    ...own,
    ...(!isStartedByRun && maxLiveTasks !== undefined && { maxLiveTasks }),
    ...(!spendsOfOther && maxCostNanoUsd !== undefined && { maxCostNanoUsd }),
  };
}

/** What both of them say: a run that another one starts may no more than what that one was lowered to. */
export function mergeLowered(outer: LimitOverrides, lowered: LimitOverrides = {}): LimitOverrides {
  const both = { ...outer, ...lowered };
  const keys = ['maxSteps', 'maxVisits', 'maxRunMs', 'maxFanOut', 'maxLiveTasks', 'maxRepeats'] as const;
  const counts = keys.flatMap(key => {
    const wanted = both[key];
    return wanted === undefined ? [] : [[key, Math.min(wanted, outer[key] ?? wanted)]];
  });
  return { ...Object.fromEntries(counts), ...leastCost(outer.maxCostNanoUsd, lowered.maxCostNanoUsd) };
}

/** A definition, and whoever submits, may lower what the configuration grants, and raise nothing. */
function lower(configured: RunLimits, limits: LimitOverrides): RunLimits {
  const least = (
    key: Exclude<keyof RunLimits, 'maxCostNanoUsd' | 'maxLiveTasks' | 'maxMessages'>,
    wanted: number | undefined,
  ) => Math.min(configured[key], wanted ?? Number.POSITIVE_INFINITY);
  return {
    ...configured,
    maxSteps: least('maxSteps', limits.maxSteps),
    maxVisits: least('maxVisits', limits.maxVisits),
    maxFanOut: least('maxFanOut', limits.maxFanOut),
    ...leastTasks(configured.maxLiveTasks, limits.maxLiveTasks),
    maxRepeats: least('maxRepeats', limits.maxRepeats),
    maxRunMs: least('maxRunMs', limits.maxRunMs),
    ...leastCost(configured.maxCostNanoUsd, limits.maxCostNanoUsd),
  };
}

function leastTasks(
  configured: number | undefined,
  wanted: number | undefined,
): Pick<RunLimits, 'maxLiveTasks'> {
  return configured === undefined ? {} : { maxLiveTasks: Math.min(configured, wanted ?? configured) };
}

function leastCost(
  configured: string | undefined,
  wanted: string | undefined,
): Pick<RunLimits, 'maxCostNanoUsd'> {
  const given = [configured, wanted].filter(each => each !== undefined).map(BigInt);
  const [first, ...others] = given;
  return first === undefined ? {} : { maxCostNanoUsd: others.reduce(smaller, first).toString() };
}
