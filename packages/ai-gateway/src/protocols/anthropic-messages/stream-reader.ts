import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readErrorCodes } from './errors.ts';
import { mergeUsage, readAnthropicUsage } from './usage.ts';

/** Reads along a stream of message events. The event's name decides; data is parsed only where it tells something. */
export class AnthropicStreamReader implements StreamReader {
  #hasContent = false;
  #model: string | undefined;
  #finishReason: string | undefined;
  #usage: Readonly<Record<string, unknown>> | undefined;
  errorCodes: readonly string[] = [];

  get facts(): AnswerFacts {
    return {
      model: this.#model,
      finishReason: this.#finishReason,
      report: this.#usage && readAnthropicUsage(this.#usage),
      serviceTier: asString(this.#usage?.service_tier),
    };
  }

  read(frame: SseFrame): FrameRole {
    switch (frame.name()) {
      case 'content_block_delta':
        this.#hasContent = true;
        return 'content';
      case 'content_block_start':
        if (!this.#hasContent) this.#hasContent = startsWithMore(frame);
        return this.#hasContent ? 'content' : 'preamble';
      case 'message_start':
        this.#readStart(frame);
        return 'preamble';
      case 'message_delta':
        this.#readDelta(frame);
        this.#hasContent = true;
        return 'content';
      case 'message_stop':
        return 'terminal';
      case 'error':
        this.errorCodes = readErrorCodes(parseFrame(frame) ?? {});
        return 'error';
      default:
        return 'preamble';
    }
  }

  missingTerminal(): string | undefined {
    return this.#finishReason === undefined
      ? undefined
      : 'event: message_stop\ndata: {"type":"message_stop"}\n\n';
  }

  #readStart(frame: SseFrame): void {
    const message = asObject(parseFrame(frame)?.message);
    this.#model ??= asString(message?.model);
    this.#addUsage(asObject(message?.usage));
  }

  #readDelta(frame: SseFrame): void {
    const event = parseFrame(frame);
    this.#finishReason = asString(asObject(event?.delta)?.stop_reason) ?? this.#finishReason;
    this.#addUsage(asObject(event?.usage));
  }

  #addUsage(usage: Readonly<Record<string, unknown>> | undefined): void {
    if (usage !== undefined) this.#usage = mergeUsage(this.#usage ?? {}, usage);
  }
}

function parseFrame(frame: SseFrame): Readonly<Record<string, unknown>> | undefined {
  const data = frame.dataBytes();
  return data && parseObject(data);
}

/** Text and thinking begin empty; every other block says something by its very start. */
function startsWithMore(frame: SseFrame): boolean {
  const type = asString(asObject(parseFrame(frame)?.content_block)?.type);
  return type !== undefined && type !== 'text' && type !== 'thinking';
}
