import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readCohereUsage } from './usage.ts';

/** Reads along a stream of Chat v2 events. */
export class CohereStreamReader implements StreamReader {
  #hasContent = false;
  #finishReason: string | undefined;
  #report: UsageReport | undefined;
  errorCodes: readonly string[] = [];

  get facts(): AnswerFacts {
    return { model: undefined, finishReason: this.#finishReason, report: this.#report };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    const event = data && parseObject(data);
    if (event === undefined) return 'preamble';
    switch (event.type) {
      case 'message-start':
      case 'content-start':
        return this.#hasContent ? 'content' : 'preamble';
      case 'message-end':
        return this.#end(asObject(event.delta) ?? {});
      default:
        this.#hasContent = true;
        return 'content';
    }
  }

  missingTerminal(): string | undefined {
    return undefined;
  }

  #end(delta: Readonly<Record<string, unknown>>): FrameRole {
    const reason = asString(delta.finish_reason);
    if (reason === 'ERROR' || reason === 'TIMEOUT') {
      this.errorCodes = [reason === 'TIMEOUT' ? 'timeout_error' : 'server_error'];
      return 'error';
    }
    this.#finishReason = reason;
    const usage = asObject(delta.usage);
    if (usage !== undefined) this.#report = readCohereUsage(usage);
    return 'terminal';
  }
}
