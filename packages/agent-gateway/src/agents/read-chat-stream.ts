import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { SseReader } from '@strata/shared/http/sse.ts';
import * as z from 'zod';
import { readAnswerJson } from './read-answer-json.ts';

const delta = z.looseObject({
  content: z.string().nullish(),
  refusal: z.string().nullish(),
  tool_calls: z
    .array(
      z.looseObject({
        index: z.number().int().min(0).max(1000),
        id: z.string().nullish(),
        function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
      }),
    )
    .nullish(),
});

/** Lenient: what is not read here may be anything. */
const chunkSchema = z.looseObject({
  model: z.string().nullish(),
  choices: z.array(z.looseObject({ delta: delta.nullish(), finish_reason: z.string().nullish() })).nullish(),
  usage: z.unknown().optional(),
  error: z.looseObject({ message: z.string(), code: z.string().nullish().catch(null) }).nullish(),
});

/** The last thing ai-gateway says in a stream whose reader asked for it. */
const costComment = /: strata cost_nano_usd=(\d{1,18})/;
const tailLength = 500;

export interface ChatStream {
  /** The answer as it would have come in one piece. */
  readonly answer: unknown;
  readonly costNanoUsd: bigint | undefined;
}

/**
 * Reads a streamed chat completion to its end and puts it together.
 *
 * @throws GatewayError upstream_failed (`model_stream_broken`), too_large (`model_answer_too_large`).
 */
export async function readChatStream(
  body: AsyncIterable<Buffer>,
  { maxBytes, onText }: { readonly maxBytes: number; readonly onText: (text: string) => void },
): Promise<ChatStream> {
  const reader = new SseReader({ maxLineBytes: maxBytes, maxEventBytes: maxBytes });
  const assembly = new Assembly(onText);
  let size = 0;
  let tail = '';
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new GatewayError('too_large', `The model's answer is larger than ${maxBytes} bytes.`, {
        reason: 'model_answer_too_large',
      });
    }
    tail = (tail + chunk.toString('latin1')).slice(-tailLength);
    for (const { data } of reader.push(chunk)) assembly.read(data);
  }
  if (!assembly.isDone) throw broken('The stream of the model ended before its answer was complete.');
  const cost = costComment.exec(tail)?.[1];
  return { answer: assembly.answer, costNanoUsd: cost === undefined ? undefined : BigInt(cost) };
}

class Assembly {
  readonly #onText: (text: string) => void;
  readonly #calls = new Map<number, { id: string; name: string; arguments: string }>();
  #content = '';
  #finishReason: string | null = null;
  #model = '';
  #usage: unknown;
  isDone = false;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  read(data: string): void {
    if (data === '[DONE]') {
      this.isDone = true;
      return;
    }
    const { model, choices, usage, error } = readAnswerJson(Buffer.from(data), chunkSchema, {
      reason: 'model_answer_malformed',
      message: 'The model sent an event that is none of a chat completion.',
    });
    if (error !== undefined && error !== null)
      throw broken(`The model broke off: ${error.message}`, error.code);
    this.#model = model ?? this.#model;
    this.#usage = usage ?? this.#usage;
    const [choice] = choices ?? [];
    this.#finishReason = choice?.finish_reason ?? this.#finishReason;
    const text = choice?.delta?.content ?? choice?.delta?.refusal ?? '';
    if (text !== '') {
      this.#content += text;
      this.#onText(text);
    }
    for (const part of choice?.delta?.tool_calls ?? []) {
      const call = this.#calls.get(part.index) ?? { id: '', name: '', arguments: '' };
      call.id = part.id ?? call.id;
      call.name += part.function?.name ?? '';
      call.arguments += part.function?.arguments ?? '';
      this.#calls.set(part.index, call);
    }
  }

  get answer(): unknown {
    const calls = [...this.#calls].sort(([left], [right]) => left - right).map(([, call]) => call);
    return {
      model: this.#model,
      usage: this.#usage,
      choices: [
        {
          finish_reason: this.#finishReason,
          message: {
            content: this.#content === '' ? null : this.#content,
            tool_calls: calls.map(({ id, name, arguments: input }) => ({
              id,
              function: { name, arguments: input },
            })),
          },
        },
      ],
    };
  }
}

function broken(message: string, code?: string | null): GatewayError {
  return new GatewayError('upstream_failed', message, {
    reason: 'model_stream_broken',
    details: { upstream_reason: code ?? null },
  });
}
