import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { parseObject } from '../read-json.ts';
import { readAnyUsage } from './read-any-usage.ts';

/** Reads along a stream of unknown events for its usage. Its end is the end of the body. */
export class AnyStreamReader implements StreamReader {
  readonly errorCodes: readonly string[] = [];
  #report: UsageReport | undefined;

  get facts(): AnswerFacts {
    return { model: undefined, finishReason: undefined, report: this.#report };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (data?.includes('sage')) {
      const event = parseObject(data);
      this.#report = (event && readAnyUsage(event)) ?? this.#report;
    }
    return 'content';
  }

  missingTerminal(): string {
    return '';
  }
}
