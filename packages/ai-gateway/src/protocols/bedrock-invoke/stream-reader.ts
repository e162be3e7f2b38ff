import type { AwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, AwsStreamReader, FrameRole } from '../../domain/protocol.ts';
import { errorCode } from '../bedrock-converse/errors.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { readInvocationMetrics } from './usage.ts';

/** No member of a body asks for another: it would be the model's own, and mean something else. */
export const ordinaryTier = 'default';

/** Reads along a stream of chunks in a model's own words for what Bedrock adds to the last of them. Its end is the end of the body. */
export class InvokeStreamReader implements AwsStreamReader {
  readonly frames = 'aws-event-stream';
  errorCodes: readonly string[] = [];
  #report: UsageReport | undefined;

  get facts(): AnswerFacts {
    return {
      model: undefined,
      finishReason: undefined,
      report: this.#report,
      serviceTier: ordinaryTier,
    };
  }

  read({ messageType, type, payload }: AwsEvent): FrameRole {
    if (messageType !== 'event') {
      this.errorCodes = [errorCode(type)];
      return 'error';
    }
    const bytes = asString(parseObject(payload)?.bytes);
    const said = bytes === undefined ? undefined : parseObject(Buffer.from(bytes, 'base64'));
    const metrics = asObject(said?.['amazon-bedrock-invocationMetrics']);
    if (metrics !== undefined) this.#report = readInvocationMetrics(metrics);
    return 'content';
  }

  missingTerminal(): string {
    return '';
  }
}
