import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { AnswerFacts, FrameRole, StreamReader } from '../../domain/protocol.ts';
import { asNumber, asObject, asString, parseObject } from '../read-json.ts';
import { readResponsesErrorCodes, responsesErrorEvent } from './errors.ts';
import { readResponsesUsage } from './usage.ts';

/** What begins nothing yet that a client could not do without. */
const preambles = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.content_part.added',
  'response.reasoning_summary_part.added',
]);

/** Reads along a stream of response events. The event's name decides; only a few are parsed. */
export class ResponsesStreamReader implements StreamReader {
  facts: AnswerFacts = { model: undefined, finishReason: undefined, report: undefined };
  errorCodes: readonly string[] = [];
  #hasContent = false;
  #first: SseFrame | undefined;
  #last: SseFrame | undefined;

  read(frame: SseFrame): FrameRole {
    const name = frame.name() ?? asString(parseFrame(frame).type);
    if (name !== undefined) {
      this.#first ??= frame;
      this.#last = frame;
    }
    switch (name) {
      case undefined:
        return 'preamble';
      case 'response.completed':
      case 'response.incomplete':
      case 'response.cancelled':
        this.#readEnd(asObject(parseFrame(frame).response) ?? {});
        return 'terminal';
      case 'response.failed':
      case 'error':
        this.errorCodes = readResponsesErrorCodes(parseFrame(frame));
        return 'error';
      case 'response.output_item.added':
        this.#hasContent ||= isMore(asObject(parseFrame(frame).item));
        break;
      default:
        this.#hasContent ||= !preambles.has(name);
    }
    return this.#hasContent ? 'content' : 'preamble';
  }

  /** Its last event holds the whole answer, which nobody can make up. */
  missingTerminal(): undefined {
    return undefined;
  }

  /** Numbered as what came before, with the response as it began. */
  errorEvent(error: GatewayError): string {
    const response = this.#first && asObject(parseFrame(this.#first).response);
    const last = this.#last && asNumber(parseFrame(this.#last).sequence_number);
    return responsesErrorEvent(error, { sequence: last === undefined ? 0 : last + 1, response });
  }

  #readEnd(response: JsonObject): void {
    this.facts = readResponseFacts(response);
  }
}

export function readResponseFacts(response: JsonObject): AnswerFacts {
  const usage = asObject(response.usage);
  const report: UsageReport | undefined = usage && readResponsesUsage(usage, response.output);
  const finishReason = asString(asObject(response.incomplete_details)?.reason) ?? asString(response.status);
  return {
    model: asString(response.model),
    finishReason,
    report,
    serviceTier: asString(response.service_tier),
  };
}

function parseFrame(frame: SseFrame): JsonObject {
  const data = frame.dataBytes();
  return (data && parseObject(data)) ?? {};
}

/** Messages and reasoning begin empty; every other item says something by its very start. */
function isMore(item: JsonObject | undefined): boolean {
  return item !== undefined && item.type !== 'message' && item.type !== 'reasoning';
}
