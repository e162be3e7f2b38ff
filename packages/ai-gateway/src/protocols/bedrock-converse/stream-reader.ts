import type { AwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, AwsStreamReader, FrameRole } from '../../domain/protocol.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { errorCode } from './errors.ts';
import { readConverseUsage } from './usage.ts';

/** Reads along a ConverseStream. Only the two events at its end are parsed. */
export class ConverseStreamReader implements AwsStreamReader {
  readonly frames = 'aws-event-stream';
  #finishReason: string | undefined;
  #report: UsageReport | undefined;
  #serviceTier: string | undefined;
  errorCodes: readonly string[] = [];

  get facts(): AnswerFacts {
    return {
      model: undefined,
      finishReason: this.#finishReason,
      report: this.#report,
      serviceTier: this.#serviceTier,
    };
  }

  read(event: AwsEvent): FrameRole {
    if (event.messageType !== 'event') {
      this.errorCodes = [errorCode(event.type)];
      return 'error';
    }
    switch (event.type) {
      case 'messageStart':
        return 'preamble';
      case 'messageStop':
        this.#finishReason = asString(parseObject(event.payload)?.stopReason);
        return 'content';
      case 'metadata': {
        const metadata = parseObject(event.payload);
        const usage = asObject(metadata?.usage);
        this.#serviceTier = asString(asObject(metadata?.serviceTier)?.type);
        if (usage !== undefined) this.#report = readConverseUsage(usage);
        return this.#finishReason === undefined ? 'content' : 'terminal';
      }
      default:
        return 'content';
    }
  }

  /** Without its metadata a stream is still whole once its stop was told. */
  missingTerminal(): string | undefined {
    return this.#finishReason === undefined ? undefined : '';
  }
}
