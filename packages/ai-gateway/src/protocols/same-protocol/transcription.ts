import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import { TokenCounter, type UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { asNumber, asObject, parseObject } from '../read-json.ts';

const none = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

/** Tokens, or the length of the sound; older models tell only `duration`. Text, `srt` and `vtt` tell nothing. */
export function readTranscriptionUsage(body: JsonObject): UsageReport | undefined {
  const usage = asObject(body.usage);
  if (usage?.type === 'tokens' || usage?.input_tokens !== undefined) return readTokens(usage);
  const seconds = asNumber(usage?.seconds) ?? asNumber(body.duration) ?? Number.NaN;
  if (!(seconds >= 0)) return undefined;
  const counter = new TokenCounter();
  const audioSeconds = counter.read(Math.ceil(seconds));
  return { usage: { ...none, audioSeconds }, isAnomalous: counter.isAnomalous };
}

function readTokens(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const input = counter.read(usage.input_tokens);
  const details = asObject(usage.input_token_details) ?? asObject(usage.input_tokens_details);
  const audioInput = Math.min(counter.read(details?.audio_tokens), input);
  const output = counter.read(usage.output_tokens);
  return {
    usage: { ...none, input: input - audioInput, output, ...(audioInput > 0 && { audioInput }) },
    isAnomalous: counter.isAnomalous,
  };
}

/** Reads along `transcript.text.*` events. The last one is `transcript.text.done`; some servers send `[DONE]` after it. */
export class TranscriptReader implements StreamReader {
  #report: UsageReport | undefined;
  #isDone = false;
  errorCodes: readonly string[] = [];

  get facts(): AnswerFacts {
    return { model: undefined, finishReason: this.#isDone ? 'stop' : undefined, report: this.#report };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (data === undefined) return 'preamble';
    if (data.toString('latin1') === '[DONE]') return 'terminal';
    const event = parseObject(data);
    if (event?.error || event?.type === 'error') {
      this.errorCodes = readErrorCodes(event);
      return 'error';
    }
    if (event?.type === 'transcript.text.done') {
      this.#isDone = true;
      this.#report = readTranscriptionUsage(event);
    }
    return 'content';
  }

  missingTerminal(): string | undefined {
    return this.#isDone ? '' : undefined;
  }
}
