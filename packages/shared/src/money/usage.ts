/**
 * Tokens of one answer in buckets that never overlap, so that each token is priced once. Providers count differently:
 * OpenAI's `prompt_tokens` include what was read from the cache, Anthropic's `input_tokens` do not.
 */
export interface Usage {
  /** Input that no cache helped with. */
  readonly input: number;
  readonly cacheRead: number;
  /** Written to a cache that lives five minutes, or for as long as the provider chooses. */
  readonly cacheWrite: number;
  readonly cacheWrite1h: number;
  /** Output without reasoning. */
  readonly output: number;
  readonly reasoning: number;
  /** Absent: none. Sound and pictures are counted here and not in the buckets of text. */
  readonly audioInput?: number;
  readonly imageInput?: number;
  readonly audioOutput?: number;
  readonly imageOutput?: number;
  /** Uses of tools that the provider runs and charges by the use, such as a web search. No tokens. */
  readonly toolUnits?: number;
  /** Whole seconds of sound, of what is charged by its length. No tokens. */
  readonly audioSeconds?: number;
}

export type UsageBucket = keyof Usage;

export const usageBuckets = [
  'input',
  'cacheRead',
  'cacheWrite',
  'cacheWrite1h',
  'output',
  'reasoning',
  'audioInput',
  'imageInput',
  'audioOutput',
  'imageOutput',
  'toolUnits',
  'audioSeconds',
] as const satisfies readonly UsageBucket[];

/** What an upstream said, after it was made sane. */
export interface UsageReport {
  readonly usage: Usage;
  /** A count was negative, fractional, absurdly large or larger than the whole it is a part of. */
  readonly isAnomalous: boolean;
}

/** More tokens than any model can take or make in one answer; a larger count is a fault of the upstream (F41). */
const maxTokens = 1_000_000_000;

/** Reads counts out of an upstream's JSON. Whatever is written there, each count is a whole number within bounds. */
export class TokenCounter {
  isAnomalous = false;

  /** A missing count is 0; an impossible one is brought within bounds and remembered. */
  read(value: unknown): number {
    if (value === undefined || value === null) return 0;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maxTokens) {
      this.isAnomalous = true;
      if (typeof value !== 'number' || !(value > 0)) return 0;
      return Math.min(Math.ceil(value), maxTokens);
    }
    return value;
  }

  /** What is left of `whole` without `part`, never below 0. */
  without(whole: number, part: number): number {
    if (part <= whole) return whole - part;
    this.isAnomalous = true;
    return 0;
  }
}

/** Both together, bucket by bucket. */
export function addUsage(left: Usage | undefined, right: Usage): Usage {
  if (left === undefined) return right;
  const sum: Record<string, number> = {};
  for (const bucket of usageBuckets) {
    const tokens = (left[bucket] ?? 0) + (right[bucket] ?? 0);
    if (tokens > 0 || right[bucket] !== undefined) sum[bucket] = tokens;
  }
  return { ...right, ...sum };
}

export function inputTokens(usage: Usage): number {
  const { audioInput = 0, imageInput = 0 } = usage;
  return usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWrite1h + audioInput + imageInput;
}

export function outputTokens(usage: Usage): number {
  const { audioOutput = 0, imageOutput = 0 } = usage;
  return usage.output + usage.reasoning + audioOutput + imageOutput;
}
