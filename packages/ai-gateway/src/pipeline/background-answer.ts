import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Answer, StreamSink } from '../domain/call.ts';
import type { UpstreamRefusal } from '../domain/failure.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { type ResponseEvent, readResponseEvents } from '../protocols/openai-responses/restore-response.ts';
import { asObject, asString, parseObject } from '../protocols/read-json.ts';
import type { RunLog } from './background-log.ts';

export interface BackgroundAnswerOptions {
  /** As the client was told it first: what it says of itself holds for every later one. */
  readonly queued: JsonObject;
  readonly log: Pick<RunLog, 'add' | 'progress' | 'onDrain'>;
  readonly maxBytes: number;
  /** Stops the upstream. */
  abort(reason: GatewayError): void;
}

/** Reads what an upstream answers into the log of a run, and resolves with the response as it ended. */
export function readBackgroundAnswer(answer: Answer, options: BackgroundAnswerOptions): Promise<JsonObject> {
  const reading = new Reading(options);
  switch (answer.type) {
    case 'refusal':
      return Promise.resolve(failedResponse(options.queued, errorOfRefusal(answer.refusal)));
    case 'whole':
      return Promise.resolve(reading.response(parseObject(answer.body) ?? {}));
    case 'stream':
      return new Promise(resolve => {
        answer.stream.onEnd(({ error }) => resolve(reading.ended(error)));
        answer.stream.flow(reading);
      });
  }
}

/** The same response, failed. */
export function failedResponse(
  response: JsonObject,
  error: { readonly code: string; readonly message: string },
): JsonObject {
  return { ...response, status: 'failed', error };
}

export function errorOf(error: GatewayError): { code: string; message: string } {
  return { code: error.reason, message: error.publicMessage };
}

function errorOfRefusal({ body, status }: UpstreamRefusal): { code: string; message: string } {
  const parsed = parseObject(body);
  const error = asObject(parsed?.error) ?? parsed;
  return {
    code: asString(error?.code) ?? asString(error?.type) ?? 'upstream_refused',
    message: asString(error?.message) ?? `The upstream refused the request with ${status}.`,
  };
}

const began = new Set(['response.created', 'response.queued']);
const ends = new Set(['response.completed', 'response.incomplete', 'response.failed', 'response.cancelled']);

/** The sink of one answer. Its events get the numbers and the response id of the run. */
class Reading implements StreamSink {
  readonly #options: BackgroundAnswerOptions;
  readonly #output: JsonObject[] = [];
  #bytes = 0;
  #final: JsonObject | undefined;
  #error: { code: string; message: string } | undefined;

  constructor(options: BackgroundAnswerOptions) {
    this.#options = options;
  }

  write(written: Buffer | string): boolean {
    const bytes = Buffer.from(written);
    this.#bytes += bytes.length;
    if (this.#bytes > this.#options.maxBytes) {
      this.#options.abort(tooLarge(this.#options.maxBytes));
      return true;
    }
    let isReady = true;
    for (const event of readResponseEvents(bytes)) isReady = this.#read(event) && isReady;
    return isReady;
  }

  onDrain(listener: () => void): void {
    this.#options.log.onDrain(listener);
  }

  /** The end of the stream tells more. */
  end(): void {}

  destroy(): void {
    this.#options.abort(
      new GatewayError('overloaded', 'What the response says could not be written in time.', {
        reason: 'store_unavailable',
      }),
    );
  }

  /** What came, or why it broke off. */
  ended(error: GatewayError | undefined): JsonObject {
    if (this.#final !== undefined) return this.#final;
    const so = { ...this.#options.queued, output: this.#output };
    const said = this.#error ?? (error && errorOf(error)) ?? unfinished;
    return failedResponse(so, said);
  }

  response(response: JsonObject): JsonObject {
    const { id, created_at, background, conversation, previous_response_id } = this.#options.queued;
    return {
      ...response,
      ...{ id, created_at, background, previous_response_id },
      ...(conversation !== undefined && { conversation }),
    };
  }

  #read({ type, data, response }: ResponseEvent): boolean {
    const { log } = this.#options;
    if (began.has(type)) return true; // the client was told in other words
    if (type === 'error') {
      this.#error = { code: asString(data.code) ?? 'server_error', message: asString(data.message) ?? '' };
      return true;
    }
    if (ends.has(type)) {
      this.#final = this.response(response ?? {});
      return true;
    }
    if (type === 'response.in_progress') log.progress(this.response({ ...response, status: 'in_progress' }));
    if (type === 'response.output_item.done') {
      this.#output.push(asObject(data.item) ?? {});
      log.progress({ ...this.#options.queued, status: 'in_progress', output: [...this.#output] });
    }
    return log.add(type, response === undefined ? data : { ...data, response: this.response(response) });
  }
}

const unfinished = { code: 'upstream_stream_truncated', message: 'The answer ended before it was complete.' };

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('upstream_failed', `The answer is larger than ${maxBytes} bytes.`, {
    reason: 'upstream_answer_too_large',
  });
}
