import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asString } from '../read-json.ts';

/** Codes of `{ error: { code, type } }`, of an `error` event, and of a `response.failed` one; most specific first. */
export function readResponsesErrorCodes(body: JsonObject): readonly string[] {
  const error = asObject(body.error) ?? asObject(asObject(body.response)?.error) ?? body;
  const codes = [asString(error.code), asString(error.type)];
  return codes.filter(
    code => code !== undefined && code !== 'error' && code !== 'response.failed',
  ) as string[]; // undefined was filtered out
}

/** What the client has seen of a stream, as far as its end depends on it. */
export interface SeenEvents {
  /** The number of the next event: clients refuse one that has none. */
  readonly sequence: number;
  /** As the first event told it; agents that keep its state wait until it has failed. */
  readonly response?: JsonObject | undefined;
}

/** The events that end a stream of which the gateway passes the bytes. */
export function responsesErrorEvent(error: GatewayError, { sequence, response }: SeenEvents): string {
  const { reason: code, publicMessage: message, param = null } = error;
  const failure = { type: 'error', code, message, param, sequence_number: sequence };
  const event = `event: error\ndata: ${JSON.stringify(failure)}\n\n`;
  if (response === undefined) return event;
  const failed = {
    type: 'response.failed',
    sequence_number: sequence + 1,
    response: { ...response, status: 'failed', error: { code, message } },
  };
  return `${event}event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`;
}
