import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';

/** Nano-USD a token. */
const inputNanoUsd = 1000n;
const outputNanoUsd = 2000n;
const prices = { input: '1', output: '2' };
/** What every request asks for at most; no answer has more. */
const maxTokens = 400;
/** The body and the framing as tokens, and the longest answer. */
export const worstNanoUsd = 1300n * inputNanoUsd + BigInt(maxTokens) * outputNanoUsd;

/** A call that the upstream charged for. */
export interface MeteredCall {
  /** The key it was made with. */
  readonly caller: string;
  readonly costNanoUsd: bigint;
  /** Whether the answer was sent whole. */
  readonly isComplete: boolean;
}

/**
 * A model provider that charges as soon as it answers, whoever is still there to hear it. Each call has a number of its own that its usage tells:
 * so an entry of the ledger can be held against the call that it is of. A part of the calls fails before, or breaks off in the middle.
 */
export interface MeteredModels {
  readonly upstream: FakeUpstream;
  /** By the call's number. */
  readonly calls: ReadonlyMap<number, MeteredCall>;
}

/** Every second one for a stream. */
export const meteredRequest = (lane: number) => ({
  model: 'metered',
  max_tokens: maxTokens,
  messages: [{ role: 'user', content: `Say hello to ${lane}.` }],
  ...(lane % 2 === 0 && { stream: true }),
});

/** The configuration of gateways in front of it. */
export function meteredConfig(url: string, { upstream }: MeteredModels): Record<string, unknown> {
  return {
    store: { url, busy_timeout_ms: 30_000 },
    ai_gateway: {
      listen: { port: 0 },
      providers: {
        main: { type: 'openai-compatible', base_url: `${upstream.url}/v1`, allow_private: true },
      },
      models: { metered: { targets: [{ provider: 'main', model: 'metered', prices }] } },
      breaker: { failures: 1000 },
    },
  };
}

const perThousand = { refuse: 20, reset: 20, cutStream: 15, cutWhole: 15 };

export async function startMeteredModels(random: () => number): Promise<MeteredModels> {
  const calls = new Map<number, MeteredCall>();
  let serial = 0;
  const upstream = await startFakeUpstream({
    keepBytes: 4096,
    plan: request => {
      const chance = random() * 1000;
      if (chance < perThousand.refuse) return jsonPlan({ error: { code: 'x' } }, { status: 500 });
      if (chance < perThousand.refuse + perThousand.reset) return [{ op: 'rst' }];
      const number = ++serial;
      const isStream = (request.json() as { stream?: boolean }).stream === true;
      const { prompt_tokens, completion_tokens } = usageOf(number);
      const isCut = chance > 1000 - (isStream ? perThousand.cutStream : perThousand.cutWhole);
      calls.set(number, {
        caller: (request.headers.authorization ?? '').replace('Bearer ', ''),
        costNanoUsd:
          BigInt(prompt_tokens) * inputNanoUsd + BigInt(isCut ? 1 : completion_tokens) * outputNanoUsd,
        isComplete: !isCut,
      });
      const wait = { op: 'stall', ms: random() * 30 } as const;
      return [wait, ...(isStream ? streamed(number, isCut) : whole(number, isCut))];
    },
  });
  return { upstream, calls };
}

const inputsOfOneOutput = 1000;

function usageOf(number: number) {
  const prompt_tokens = number % inputsOfOneOutput;
  const completion_tokens = 1 + Math.floor(number / inputsOfOneOutput);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

/** The number of the call that an entry of the ledger is of. */
export function numberOf(row: { readonly input: number | null; readonly output: number | null }): number {
  return (Number(row.output) - 1) * inputsOfOneOutput + Number(row.input);
}

const head = { id: 'chatcmpl-1', created: 1_763_942_400, model: 'metered' };

function whole(number: number, isCut: boolean): Plan {
  const answer = {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
    usage: usageOf(number),
  };
  if (!isCut) return jsonPlan(answer);
  const text = JSON.stringify(answer);
  return [
    { op: 'headers', headers: { 'content-type': 'application/json', 'content-length': `${text.length}` } },
    { op: 'write', bytes: text.slice(0, 40) },
    { op: 'rst' },
  ];
}

function streamed(number: number, isCut: boolean): Plan {
  const chunk = (choices: unknown[], more: object = {}) =>
    JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more });
  const events = [
    chunk([{ index: 0, delta: { role: 'assistant', content: 'Hel' }, finish_reason: null }]),
    chunk([{ index: 0, delta: { content: 'lo.' }, finish_reason: 'stop' }]),
  ];
  if (isCut) return ssePlan(events, { ending: [{ op: 'rst' }] });
  return ssePlan([...events, chunk([], { usage: usageOf(number) }), '[DONE]']);
}
