import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { openOwnFrames } from '../../domain/own-frames.ts';
import { asObject, asString, parseObject } from '../read-json.ts';

/** Anthropic's types of errors as the exceptions of InvokeModelWithResponseStream. */
const exceptions: ReadonlyMap<unknown, string> = new Map([
  ['invalid_request_error', 'validationException'],
  ['rate_limit_error', 'throttlingException'],
  ['overloaded_error', 'serviceUnavailableException'],
  ['timeout_error', 'modelTimeoutException'],
]);

const counted = {
  input_tokens: 'inputTokenCount',
  output_tokens: 'outputTokenCount',
  cache_read_input_tokens: 'cacheReadInputTokenCount',
  cache_creation_input_tokens: 'cacheWriteInputTokenCount',
} as const;

const metricsMember = 'amazon-bedrock-invocationMetrics';

/** Anthropic's events as InvokeModelWithResponseStream sends them: each in base64 inside a binary message, with the usage in the last. */
export class InvokeEvents {
  readonly #frames = openOwnFrames();
  readonly #metrics: Record<string, unknown> = {};

  push(bytes: Buffer): Buffer {
    return Buffer.concat(
      this.#frames.push(bytes).flatMap(frame => {
        const data = frame.dataBytes();
        return data === undefined ? [] : [this.#wrap(data)];
      }),
    );
  }

  #wrap(data: Buffer): Buffer {
    const event = parseObject(data);
    if (event?.type === 'error') return formatException(event);
    this.#count(asObject(asObject(event?.message)?.usage) ?? asObject(event?.usage));
    const isLast = event?.type === 'message_stop' && event[metricsMember] === undefined;
    const whole = isLast ? Buffer.from(JSON.stringify({ ...event, [metricsMember]: this.#metrics })) : data;
    return formatAwsEvent({
      messageType: 'event',
      type: 'chunk',
      payload: { bytes: whole.toString('base64') },
    });
  }

  /** Counts are cumulative: the last that was told is the one. */
  #count(usage: JsonObject | undefined): void {
    for (const [name, metric] of Object.entries(counted)) {
      if (typeof usage?.[name] === 'number') this.#metrics[metric] = usage[name];
    }
  }
}

function formatException(event: JsonObject): Buffer {
  const error = asObject(event.error);
  const type = exceptions.get(error?.type) ?? 'modelStreamErrorException';
  const message = asString(error?.message) ?? 'The model reported an error inside its stream.';
  return formatAwsEvent({ messageType: 'exception', type, payload: { message } });
}
