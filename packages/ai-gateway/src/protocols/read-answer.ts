import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerFacts, WholeAnswer } from '../domain/protocol.ts';
import { asObject, asString, parseObject } from './read-json.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** Where a whole answer says what, in one protocol. */
export interface AnswerShape {
  readFinish(body: JsonObject): string | undefined;
  readUsage(usage: JsonObject): UsageReport;
  readCodes(body: JsonObject): readonly string[];
}

/** What an answer says about itself. Its bytes are passed on as they are; the parsed form is only looked at. */
export function readWholeAnswer(bytes: Buffer, shape: AnswerShape): WholeAnswer {
  const body = parseObject(bytes);
  if (body === undefined) return { type: 'malformed' };
  if (body.error) return { type: 'error', codes: shape.readCodes(body) };
  const usage = asObject(body.usage);
  const facts: AnswerFacts = {
    model: asString(body.model),
    finishReason: shape.readFinish(body),
    report: usage && shape.readUsage(usage),
    serviceTier: asString(body.service_tier) ?? asString(usage?.service_tier),
  };
  return { type: 'answer', facts };
}
