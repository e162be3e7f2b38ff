import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { parseObject } from '../read-json.ts';
import { readAnyUsage } from './read-any-usage.ts';

/** Reads along a stream of unknown events for its usage and its error. Its end is the end of the body. */
export class AnyStreamReader implements StreamReader {
  errorCodes: readonly string[] = [];
  #report: UsageReport | undefined;

  get facts(): AnswerFacts {
    return { model: undefined, finishReason: undefined, report: this.#report };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (!data?.includes('sage') && !data?.includes('"error"')) return 'content'; // pictures are large
    const event = parseObject(data);
    if (event === undefined) return 'content';
    this.#report = readAnyUsage(event) ?? this.#report;
    if (!event.error && event.type !== 'error') return 'content';
    this.errorCodes = readErrorCodes(event);
    return 'error';
  }

  missingTerminal(): string {
    return '';
  }
}
