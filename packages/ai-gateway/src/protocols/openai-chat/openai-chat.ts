import { openaiErrorEvent, openaiErrors } from '@strata/shared/errors/openai.ts';
import type { Span } from '@strata/shared/json/json-text.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import { lastMember, scanObject, valueAt } from '../../domain/json-scan.ts';
import { setMember } from '../../domain/json-splice.ts';
import type { ModelRequest, Protocol, RequestChange } from '../../domain/protocol.ts';
import { type AnswerShape, readWholeAnswer } from '../read-answer.ts';
import { asObject, asString, parseObject } from '../read-json.ts';
import { isTrue, readCommonRequest } from '../read-request.ts';
import { chatCodec } from './codec.ts';
import { readErrorCodes } from './errors.ts';
import { OpenaiStreamReader } from './stream-reader.ts';
import { readOpenaiUsage } from './usage.ts';

/** Members with the caller's own data. */
const content = new Set([
  'messages',
  'tools',
  'functions',
  'response_format',
  'tool_choice',
  'function_call',
  'prediction',
  'logit_bias',
]);

const answerShape: AnswerShape = {
  readFinish: body =>
    asString(asObject(Array.isArray(body.choices) ? body.choices[0] : undefined)?.finish_reason),
  readUsage: readOpenaiUsage,
  readCodes: readErrorCodes,
};

/** OpenAI Chat Completions (spec/llm-protocols 6.1). */
export const openaiChat: Protocol = {
  name: 'openai-chat',
  operation: 'chat',
  requestHeaders: ['openai-beta'],
  requestIdHeader: 'x-request-id',
  renderError: openaiErrors,
  renderStreamError: openaiErrorEvent,
  readRequest(body) {
    const common = readCommonRequest(body, content);
    const options = lastMember(common.scanned, 'stream_options');
    return { ...common, wantsStreamUsage: common.isStream && wantsUsage(body, options) };
  },
  writeRequest(request, change) {
    const edits = setMember(request.scanned, 'model', JSON.stringify(change.model));
    if (asksForUsage(request, change)) edits.push(...askForUsage(request));
    return splice(request.body, edits);
  },
  readAnswer: body => readWholeAnswer(body, answerShape),
  readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
  openReader: request => new OpenaiStreamReader({ hidesUsage: !request.wantsStreamUsage }),
  codec: chatCodec,
};

function wantsUsage(body: Buffer, options: Span | undefined): boolean {
  if (options === undefined || body[options.start] !== openBrace) return false;
  const inner = body.subarray(options.start, options.end);
  return isTrue(inner, lastMember(scanObject(inner), 'include_usage'));
}

const openBrace = 0x7b;

function asksForUsage(request: ModelRequest, change: RequestChange): boolean {
  return request.isStream && change.mayAskStreamUsage && !request.wantsStreamUsage;
}

/** Sets `stream_options.include_usage`, keeping the other options (A9). Options that are no object are left to the upstream. */
function askForUsage(request: ModelRequest): Edit[] {
  const { body, scanned } = request;
  const options = lastMember(scanned, 'stream_options');
  const written = valueAt(body, options);
  if (options === undefined || written === null) {
    return setMember(scanned, 'stream_options', '{"include_usage":true}');
  }
  if (asObject(written) === undefined) return [];
  const inner = body.subarray(options.start, options.end);
  const changed = splice(inner, setMember(scanObject(inner), 'include_usage', 'true'));
  return setMember(scanned, 'stream_options', changed.toString('utf8'));
}
