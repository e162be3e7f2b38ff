import { openaiErrors } from '@strata/shared/errors/openai.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { lastMember } from '../../domain/json-scan.ts';
import { setMember } from '../../domain/json-splice.ts';
import type { ModelRequest, Protocol, RequestChange, WholeAnswer } from '../../domain/protocol.ts';
import { asNumber, parseObject } from '../read-json.ts';
import { readCommonRequest } from '../read-request.ts';
import { responsesCodec } from './codec.ts';
import { readResponsesErrorCodes, responsesErrorEvent } from './errors.ts';
import { ResponsesStreamReader, readResponseFacts } from './stream-reader.ts';

/** Members with the caller's own data. */
const content = new Set(['input', 'instructions', 'tools', 'tool_choice', 'text', 'prompt', 'metadata']);

/** OpenAI Responses (spec/llm-protocols 6.2). Its streams always tell their usage. */
export const openaiResponses: Protocol = {
  name: 'openai-responses',
  operation: 'chat',
  requestHeaders: ['openai-beta'],
  requestIdHeader: 'x-request-id',
  renderError: openaiErrors,
  renderStreamError: error => responsesErrorEvent(error, { sequence: 0 }),
  readRequest: body => ({ ...readCommonRequest(body, content), wantsStreamUsage: true }),
  writeRequest,
  readAnswer,
  readErrorCodes: body => readResponsesErrorCodes(parseObject(body) ?? {}),
  openReader: () => new ResponsesStreamReader(),
  codec: responsesCodec,
  counting: {
    members: new Set([
      'model',
      'input',
      'instructions',
      'tools',
      'tool_choice',
      'text',
      'reasoning',
      'parallel_tool_calls',
    ]),
    read: body => asNumber(body.input_tokens),
    render: inputTokens => ({ object: 'response.input_tokens', input_tokens: inputTokens }),
  },
};

/** What came before is in the input by now: the account that answers need not know the response that the client goes on from. */
function writeRequest({ body, scanned }: ModelRequest, change: RequestChange): Buffer {
  const edits = setMember(scanned, 'model', JSON.stringify(change.model));
  if (lastMember(scanned, 'previous_response_id') !== undefined)
    edits.push(...setMember(scanned, 'previous_response_id', 'null'));
  return splice(body, edits);
}

function readAnswer(bytes: Buffer): WholeAnswer {
  const body = parseObject(bytes);
  if (body === undefined) return { type: 'malformed' };
  if (body.error || body.status === 'failed') return { type: 'error', codes: readResponsesErrorCodes(body) };
  return { type: 'answer', facts: readResponseFacts(body) };
}
