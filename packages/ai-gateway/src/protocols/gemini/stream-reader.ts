import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { asObject, asObjects, asString, parseObject } from '../read-json.ts';
import { readErrorCodes } from './errors.ts';
import { readGeminiUsage, searchesIn, serviceTierOf } from './usage.ts';

/** Reads along a stream of chunks. Each may hold usage and the finish, so each is parsed; they are few and large. */
export class GeminiStreamReader implements StreamReader {
  #model: string | undefined;
  #finishReason: string | undefined;
  #usage: JsonObject | undefined;
  #searches = 0;
  #hasContent = false;
  errorCodes: readonly string[] = [];

  get facts(): AnswerFacts {
    return {
      model: this.#model,
      finishReason: this.#finishReason,
      report: this.#usage && readGeminiUsage(this.#usage, this.#searches),
      serviceTier: serviceTierOf(this.#usage),
    };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    const chunk = data && parseObject(data);
    if (chunk === undefined) return 'preamble'; // passed on as it is: the client's own parser must judge it (F30)
    if (chunk.error) {
      this.errorCodes = readErrorCodes(chunk);
      return 'error';
    }
    this.readChunk(chunk);
    return this.#hasContent ? 'content' : 'preamble';
  }

  readChunk(chunk: JsonObject): void {
    this.#model = asString(chunk.modelVersion) ?? this.#model;
    this.#usage = asObject(chunk.usageMetadata) ?? this.#usage; // cumulative: the last one counts
    this.#searches = Math.max(this.#searches, searchesIn(chunk));
    const blocked = asString(asObject(chunk.promptFeedback)?.blockReason);
    if (blocked !== undefined) this.#finishReason = blocked;
    for (const candidate of asObjects(chunk.candidates)) {
      this.#finishReason = asString(candidate.finishReason) ?? this.#finishReason;
      if (asObjects(asObject(candidate.content)?.parts).length > 0) this.#hasContent = true;
    }
    if (this.#finishReason !== undefined) this.#hasContent = true;
  }

  /** There is no terminal event: a stream is whole when its finish was told. */
  missingTerminal(): string | undefined {
    return this.#finishReason === undefined ? undefined : '';
  }
}
