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
  #saysError = false;
  #saysMore = false;

  constructor({ passesErrors = false }: { readonly passesErrors?: boolean } = {}) {
    this.#passesErrors = passesErrors;
  }

  get facts(): AnswerFacts {
    const saysOnlyError = this.#saysError && !this.#saysMore;
    return {
      model: undefined,
      finishReason: undefined,
      report: this.#report,
      ...(saysOnlyError && { saysOnlyError }),
    };
  }

  read(frame: SseFrame): FrameRole {
    const data = frame.dataBytes();
    if (data === undefined || data.equals(done)) return 'content';
    const isError = this.#isError(data) || (this.#passesErrors && frame.name() === 'error');
    if (isError) this.#saysError = true;
    else this.#saysMore = true;
    return isError && !this.#passesErrors ? 'error' : 'content';
  }

  #isError(data: Buffer): boolean {
    if (!data.includes('sage') && !data.includes('"error"')) return false; // pictures are large
    const event = parseObject(data);
    if (event === undefined) return false;
    this.#report = readAnyUsage(event) ?? this.#report;
    if (!event.error && event.type !== 'error') return false;
    this.errorCodes = readErrorCodes(event);
    return true;
  }

  missingTerminal(): string {
    return '';
  }
}

/** The end of OpenAI's streams. */
const done = Buffer.from('[DONE]');
