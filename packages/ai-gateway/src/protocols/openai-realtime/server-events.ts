import { TokenCounter, type UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readTranscriptionUsage } from '../same-protocol/transcription.ts';

/** What an event of the provider means for the money. */
export type RealtimeEvent =
  | { readonly type: 'begun'; readonly responseId: string }
  | { readonly type: 'done'; readonly responseId: string; readonly report: UsageReport | undefined }
  /** What the caller said was written down by a model of its own. */
  | {
      readonly type: 'transcribed';
      readonly model: string | undefined;
      readonly report: UsageReport | undefined;
    };

/** Written as they are on the wire: inside a text the quotes would be escaped. */
const interesting = [
  '"response.created"',
  '"response.done"',
  '"session.created"',
  '"session.updated"',
  '"conversation.item.input_audio_transcription.completed"',
];

/** Reads along the events of one session. Only the few that say something of money are parsed. */
export class RealtimeReader {
  #transcriber: string | undefined;

  read(data: Buffer): RealtimeEvent | undefined {
    if (!interesting.some(name => data.includes(name))) return undefined;
    const event = parseObject(data);
    switch (event?.type) {
      case 'session.created':
      case 'session.updated':
        this.#transcriber = transcriberOf(asObject(event.session)) ?? this.#transcriber;
        return undefined;
      case 'response.created':
        return { type: 'begun', responseId: responseId(event) };
      case 'response.done': {
        const usage = asObject(asObject(event.response)?.usage);
        return { type: 'done', responseId: responseId(event), report: usage && readRealtimeUsage(usage) };
      }
      case 'conversation.item.input_audio_transcription.completed':
        return { type: 'transcribed', model: this.#transcriber, report: readTranscriptionUsage(event) };
      default:
        return undefined;
    }
  }
}

function responseId(event: JsonObject): string {
  return asString(asObject(event.response)?.id) ?? '';
}

function transcriberOf(session: JsonObject | undefined): string | undefined {
  const input = asObject(asObject(session?.audio)?.input);
  const transcription = asObject(input?.transcription) ?? asObject(session?.input_audio_transcription);
  return asString(transcription?.model);
}

/** `usage` of `response.done`: the cached tokens are parts of the text and the sound that came in. */
export function readRealtimeUsage(usage: JsonObject): UsageReport {
  const counter = new TokenCounter();
  const inputs = asObject(usage.input_token_details);
  const outputs = asObject(usage.output_token_details);
  const cachedOf = asObject(inputs?.cached_tokens_details);
  const input = counter.read(usage.input_tokens);
  const output = counter.read(usage.output_tokens);
  const cacheRead = Math.min(counter.read(inputs?.cached_tokens), input);
  const audio = counter.read(inputs?.audio_tokens);
  const image = counter.read(inputs?.image_tokens);
  const audioInput = Math.min(
    counter.without(audio, counter.read(cachedOf?.audio_tokens)),
    input - cacheRead,
  );
  const imageInput = Math.min(
    counter.without(image, counter.read(cachedOf?.image_tokens)),
    input - cacheRead - audioInput,
  );
  const audioOutput = Math.min(counter.read(outputs?.audio_tokens), output);
  return {
    usage: {
      input: input - cacheRead - audioInput - imageInput,
      cacheRead,
      cacheWrite: 0,
      cacheWrite1h: 0,
      output: output - audioOutput,
      reasoning: 0,
      ...(audioInput > 0 && { audioInput }),
      ...(imageInput > 0 && { imageInput }),
      ...(audioOutput > 0 && { audioOutput }),
    },
    isAnomalous: counter.isAnomalous,
  };
}
