import { anthropicErrorEvent, anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { setMember } from '../../domain/json-splice.ts';
import type { Protocol } from '../../domain/protocol.ts';
import type { TokenCounting } from '../../domain/token-count.ts';
import { type AnswerShape, readWholeAnswer } from '../read-answer.ts';
import { asNumber, asString, parseObject } from '../read-json.ts';
import { readCommonRequest } from '../read-request.ts';
import { messagesCodec } from './codec.ts';
import { readErrorCodes } from './errors.ts';
import { AnthropicStreamReader } from './stream-reader.ts';
import { readAnthropicUsage } from './usage.ts';

/** Members with the caller's own data. */
const content = new Set(['messages', 'tools', 'system', 'tool_choice', 'output_config']);

const answerShape: AnswerShape = {
  readFinish: body => asString(body.stop_reason),
  readUsage: readAnthropicUsage,
  readCodes: readErrorCodes,
};

export const messagesCounting: TokenCounting = {
  members: new Set(['model', 'messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config']),
  read: body => asNumber(body.input_tokens),
  render: inputTokens => ({ input_tokens: inputTokens }),
};

/** Anthropic Messages (spec/llm-protocols 6.3). Its streams always tell their usage. */
export const anthropicMessages: Protocol = {
  name: 'anthropic-messages',
  operation: 'chat',
  requestHeaders: ['anthropic-version', 'anthropic-beta'],
  requestIdHeader: 'request-id',
  renderError: anthropicErrors,
  renderStreamError: anthropicErrorEvent,
  readRequest: body => ({ ...readCommonRequest(body, content), wantsStreamUsage: true }),
  writeRequest: (request, change) =>
    splice(request.body, setMember(request.scanned, 'model', JSON.stringify(change.model))),
  readAnswer: body => readWholeAnswer(body, answerShape),
  readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
  openReader: () => new AnthropicStreamReader(),
  codec: messagesCodec,
  counting: messagesCounting,
};
