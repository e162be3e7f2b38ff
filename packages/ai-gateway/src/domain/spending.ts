import type { Charge } from '@strata/shared/money/budget.ts';
import type { Reservation } from '@strata/shared/money/budgets.ts';
import { costOf, type PriceList } from '@strata/shared/money/price.ts';
import { inputTokens, outputTokens, type Usage } from '@strata/shared/money/usage.ts';
import { lastMember, valueAt } from './json-scan.ts';
import type { ModelRequest, Protocol } from './protocol.ts';
import type { ModelProvider } from './provider.ts';

/** Tokens that an attempt can use at most. */
export interface TokenBounds {
  readonly input: number;
  readonly output: number;
  /** Of files in a form, which may be sound. */
  readonly audioSeconds?: number;
  /** Uses of tools that the provider runs and charges by the use. */
  readonly toolUnits?: number;
}

/** No codec in use makes a second of sound smaller. */
const minBytesPerSecond = 250;
/** A likely share of a file, sound or picture, that one token stands for. */
const fileBytesPerToken = 400;

/** Where neither the request nor the catalog says how much a model takes and gives. */
const unknownContextTokens = 1_000_000;
const unknownOutputTokens = 128_000;
/** What protocols put around messages, tools and images that no byte of the request stands for. */
const framingTokens = 1024;

/** The names under which the protocols say how long an answer may be. */
const outputLimits = ['max_completion_tokens', 'max_tokens', 'max_output_tokens'] as const;
const nestedLimits = [
  ['generationConfig', 'maxOutputTokens', 'candidateCount'],
  ['inferenceConfig', 'maxTokens', undefined],
] as const;

/** Content that is named and not sent: how long it is cannot be told from the request. */
const references = [
  '"image_url"',
  '"file_id"',
  '"file_url"',
  '"fileUri"',
  '"file_uri"',
  '"previous_response_id"',
  '"conversation"',
  '"s3Location"',
  '"url"',
  '"cachedContent"',
];
/** Tools that the provider runs, whose results become input. */
const serverTools = [
  '"web_search',
  '"code_execution',
  '"code_interpreter',
  '"file_search',
  '"web_fetch',
  '"mcp',
  '"googleSearch',
  '"google_search',
  '"urlContext',
  '"computer',
];

/** To read or remove something at a provider asks no model, and costs nothing. */
export function asksNoModel({ name }: Pick<Protocol, 'name'>, { speaks }: ModelProvider): boolean {
  const method = speaks.get(name)?.method ?? 'POST';
  return method !== 'POST';
}

/** Of the tools that the provider runs, those that are charged by the use. */
const searchTools = ['"web_search', '"googleSearch', '"google_search'];
/** Where the request does not bound it with `max_uses`: more searches than models make for one answer. */
const unknownSearches = 50;

/**
 * Bounds that hold for every tokenizer that works on bytes, because none makes more tokens than there are bytes; so no tokenizer has to be
 * run, which would cost more than all the rest of the gateway. What is only referred to counts as the whole context.
 */
export function tokenBounds(request: ModelRequest, prices: PriceList | undefined): TokenBounds {
  const contextTokens = prices?.limits?.contextTokens ?? unknownContextTokens;
  const isOpenEnded = [...references, ...serverTools].some(each => request.body.includes(each));
  const { limit, answers } = askedOutput(request);
  const most = prices?.limits?.maxOutputTokens ?? unknownOutputTokens;
  const fileBytes = request.form?.fileBytes ?? 0;
  return {
    input: isOpenEnded
      ? contextTokens
      : Math.min(request.body.length + fileBytes + framingTokens, contextTokens),
    output: (limit ?? most) * answers,
    ...(request.form && { audioSeconds: Math.ceil(request.form.fileBytes / minBytesPerSecond) }),
    ...searchBound(request, answers),
  };
}

function searchBound({ body, scanned }: ModelRequest, answers: number): Pick<TokenBounds, 'toolUnits'> {
  if (!searchTools.some(each => body.includes(each))) return {};
  const tools = valueAt(body, lastMember(scanned, 'tools'));
  const bounds = (Array.isArray(tools) ? tools : []).map(tool =>
    asCount((tool as { max_uses?: unknown } | null)?.max_uses),
  );
  const told = bounds.filter(bound => bound !== undefined).reduce((sum, bound) => sum + bound, 0);
  return { toolUnits: (told === 0 ? unknownSearches : told) * answers };
}

/** A likely number of tokens, for limits of rate: what was used in the end corrects it. */
export function estimatedTokens(request: ModelRequest): TokenBounds {
  const { limit = likelyOutputTokens, answers } = askedOutput(request);
  const fileBytes = request.form?.fileBytes ?? 0;
  return {
    input: Math.ceil(request.body.length / bytesPerToken + fileBytes / fileBytesPerToken),
    output: Math.min(limit, likelyOutputTokens) * answers,
  };
}

const likelyOutputTokens = 1024;

function askedOutput(request: ModelRequest): { limit: number | undefined; answers: number } {
  const { body, scanned } = request;
  if (request.writesNoTokens) return { limit: 0, answers: 1 };
  const numberAt = (name: string) => asCount(valueAt(body, lastMember(scanned, name)));
  const flat = outputLimits.map(numberAt).filter(each => each !== undefined);
  let answers = numberAt('n') ?? 1;
  for (const [member, limitName, answersName] of nestedLimits) {
    const options = valueAt(body, lastMember(scanned, member));
    if (typeof options !== 'object' || options === null) continue;
    const read = (name: string | undefined) =>
      name === undefined ? undefined : asCount((options as Record<string, unknown>)[name]);
    const limit = read(limitName);
    if (limit !== undefined) flat.push(limit);
    answers = Math.max(answers, read(answersName) ?? 1);
  }
  return { limit: flat.length === 0 ? undefined : Math.max(...flat), answers };
}

function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 1 ? Math.ceil(value) : undefined;
}

/** What an attempt has set aside, and what of its answer has passed so far. */
export interface Spending {
  readonly reservation: Reservation;
  answerBytes: number;
}

/** How much of an answer there was: all, a part for which the upstream may charge, none. */
export type AnswerEnd = 'complete' | 'broken-off' | 'refused';

export interface Settlement {
  readonly usage: Usage | undefined;
  readonly isEstimated: boolean;
  readonly costNanoUsd: bigint | undefined;
  readonly charges: readonly Charge[];
}

/** Of text and the JSON around it. Below what any tokenizer in use takes on average, so the estimate is rather too high. */
const bytesPerToken = 4;

/**
 * Settles once with what was metered. An attempt that was refused gives everything back. One that was left, cut or broke off after its answer had
 * begun, or whose upstream kept silent about its usage, is charged an estimate that is not below what passed through (A6, A8).
 */
export function settle(
  spending: Spending,
  ended: {
    readonly request: ModelRequest;
    readonly end: AnswerEnd;
    readonly usage: Usage | undefined;
    readonly prices: PriceList | undefined;
    readonly serviceTier: string | undefined;
  },
): Settlement {
  const { reservation } = spending;
  const { request, end, usage, prices, serviceTier } = ended;
  const isMetered = usage !== undefined && end !== 'broken-off';
  const known =
    isMetered || end === 'refused'
      ? usage
      : estimate(tokenBounds(request, prices), spending.answerBytes, usage);
  const costNanoUsd = known && costOf(known, prices, serviceTier);
  // Metered in a bucket without a price: it is not free, so what was set aside is what it costs.
  const charged = known === undefined ? 0n : (costNanoUsd ?? reservation.nanoUsd);
  return {
    usage: known,
    isEstimated: !isMetered && known !== undefined,
    costNanoUsd,
    charges: reservation.settle(charged),
  };
}

function estimate(bounds: TokenBounds, answerBytes: number, reported: Usage | undefined): Usage {
  const passed = Math.min(bounds.output, Math.ceil(answerBytes / bytesPerToken));
  if (reported === undefined || inputTokens(reported) === 0) {
    return {
      input: bounds.input,
      cacheRead: 0,
      cacheWrite: 0,
      cacheWrite1h: 0,
      output: passed,
      reasoning: 0,
      ...(bounds.audioSeconds !== undefined && { audioSeconds: bounds.audioSeconds }),
    };
  }
  const missing = Math.max(0, passed - outputTokens(reported));
  return { ...reported, output: reported.output + missing };
}
