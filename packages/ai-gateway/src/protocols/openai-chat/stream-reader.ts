import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readErrorCodes } from './errors.ts';
import { readOpenaiUsage } from './usage.ts';

type Chunk = Readonly<Record<string, unknown>>;

/**
 * Reads along a stream of chat completion chunks. A chunk is parsed only while nothing meaningful was seen yet, or when its
 * text holds one of the few keys that matter; the others cost one look. In a JSON string quotes are escaped, so what the
 * model writes can never look like a key.
 */
export class OpenaiStreamReader implements StreamReader {
  readonly #hidesUsage: boolean;
  #hasContent = false;
  #model: string | undefined;
  #finishReason: string | undefined;
  #report: UsageReport | undefined;
  #serviceTier: string | undefined;
  errorCodes: readonly string[] = [];

  /** `hidesUsage`: the usage chunk was asked for by the gateway, not by the client (A9). */
  constructor(options: { hidesUsage: boolean }) {
    this.#hidesUsage = options.hidesUsage;
  }

  get facts(): AnswerFacts {
    return {
      model: this.#model,
      finishReason: this.#finishReason,
      report: this.#report,
      serviceTier: this.#serviceTier,
    };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (data === undefined) return 'preamble';
    const text = data.toString('latin1');
    if (text.startsWith('[DONE]')) return 'terminal';
    if (this.#hasContent && !isOfInterest(text)) return 'content';
    const chunk = parseObject(data);
    if (chunk === undefined) return 'preamble'; // passed on as it is: the client's own parser must judge it (F30)
    return this.#judge(chunk);
  }

  missingTerminal(): string | undefined {
    return this.#finishReason === undefined ? undefined : 'data: [DONE]\n\n';
  }

  #judge(chunk: Chunk): FrameRole {
    if (chunk.error) {
      this.errorCodes = readErrorCodes(chunk);
      return 'error';
    }
    this.#model ??= asString(chunk.model);
    this.#serviceTier = asString(chunk.service_tier) ?? this.#serviceTier;
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    const usage = asObject(chunk.usage) ?? asObject(asObject(chunk.x_groq)?.usage);
    if (usage !== undefined) this.#report = readOpenaiUsage(usage); // the last one counts; some vendors send many
    if (usage !== undefined && choices.length === 0 && this.#hidesUsage) return 'hidden';
    for (const choice of choices) this.#readChoice(asObject(choice));
    return this.#hasContent ? 'content' : 'preamble';
  }

  #readChoice(choice: Chunk | undefined): void {
    const finish = asString(choice?.finish_reason);
    if (finish !== undefined) this.#finishReason = finish;
    const text = asString(choice?.text) ?? ''; // of completions
    if (finish !== undefined || text !== '' || isMeaningful(asObject(choice?.delta))) this.#hasContent = true;
  }
}

function isOfInterest(text: string): boolean {
  if (text.includes('"error"')) return true;
  if (text.includes('"usage"') && !text.includes('"usage":null')) return true;
  return text.includes('"finish_reason":"') || text.includes('"finish_reason": "');
}

/** Any part of the delta but the role, unless it is empty. */
function isMeaningful(delta: Chunk | undefined): boolean {
  if (delta === undefined) return false;
  return Object.entries(delta).some(([key, value]) => {
    if (key === 'role' || value === null || value === '') return false;
    return !Array.isArray(value) || value.length > 0;
  });
}
