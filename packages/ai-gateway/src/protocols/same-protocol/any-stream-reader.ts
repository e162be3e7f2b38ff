import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { parseObject } from '../read-json.ts';
import { readAnyUsage } from './read-any-usage.ts';

/**
 * Reads along a stream of unknown events for its usage and its error. Its end is the end of the body. Where an error may be any event among
 * others (`passesErrors`), it is one: nothing is asked again, and what comes after it follows.
 */
export class AnyStreamReader implements StreamReader {
  readonly #passesErrors: boolean;
  errorCodes: readonly string[] = [];
  #report: UsageReport | undefined;

  constructor({ passesErrors = false }: { readonly passesErrors?: boolean } = {}) {
    this.#passesErrors = passesErrors;
  }

  get facts(): AnswerFacts {
    return { model: undefined, finishReason: undefined, report: this.#report };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (!data?.includes('sage') && !data?.includes('"error"')) return 'content'; // pictures are large
    const event = parseObject(data);
    if (event === undefined) return 'content';
    this.#report = readAnyUsage(event) ?? this.#report;
    if (this.#passesErrors || (!event.error && event.type !== 'error')) return 'content';
    this.errorCodes = readErrorCodes(event);
    return 'error';
  }

  missingTerminal(): string {
    return '';
  }
}
