import {
  type ApiRequest,
  type Desk,
  eventStreamHeaders,
  type Frame,
  jsonReply,
  type ModelEntry,
  type Reply,
  sseFrame,
  type WholeReply,
} from '../http/protocol.ts';
import { countPrompt } from '../model/tokens.ts';
import { errorBody } from './errors.ts';
import { anthropicHeaders } from './headers.ts';
import { type MessageParts, messageEvents, wholeMessage } from './messages-answer.ts';
import { messagesConversation, promptConversation } from './messages-conversation.ts';
import {
  checkMessagesRequest,
  checkPrompt,
  countTokensRequestSchema,
  type MessagesRequest,
  messagesRequestSchema,
} from './messages-request.ts';
import { modelOf } from './models.ts';
import { parseBody } from './parse.ts';

/** `POST /v1/messages`. */
export function createMessage(request: ApiRequest, desk: Desk): Reply {
  const { model: name, stream, ...body } = parseBody(request.body, messagesRequestSchema);
  const model = modelOf(name, desk);
  const parts = composeMessage(body, model, desk);
  const billing = { model: model.id, usage: parts.composed.usage };
  const headers = anthropicHeaders(desk);
  const { fault } = parts.composed;
  if (!stream) return jsonReply(wholeMessage(parts), headers, { billing, fault });
  return {
    type: 'stream',
    headers: { ...eventStreamHeaders, ...headers },
    frames: eventFrames(parts),
    billing,
    fault,
    errorFrame: error => `event: error\ndata: ${JSON.stringify(errorBody(error))}\n\n`,
    malformedFrame:
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_del\n\n',
  };
}

/** Checks a request and answers it; the same for every wire that carries these messages. */
export function composeMessage(body: MessagesRequest, model: ModelEntry, desk: Desk): MessageParts {
  checkMessagesRequest(body);
  const composed = desk.compose(messagesConversation(body, model));
  const calls = composed.blocks.filter(block => block.type === 'call');
  const { thinking } = body;
  return {
    id: desk.ids.next('msg_01', 22),
    model: model.id,
    composed,
    toolIds: calls.map(() => desk.ids.next('toolu_01', 22)),
    omitsThinking: thinking !== undefined && 'display' in thinking && thinking.display === 'omitted',
  };
}

function* eventFrames(parts: MessageParts): Iterable<Frame> {
  for (const { event, tokens } of messageEvents(parts))
    yield sseFrame(JSON.stringify(event), { event: event.type, tokens });
}

/** `POST /v1/messages/count_tokens`. */
export function countMessageTokens(request: ApiRequest, desk: Desk): WholeReply {
  const { model: name, ...body } = parseBody(request.body, countTokensRequestSchema);
  checkPrompt(body);
  const conversation = promptConversation(body, modelOf(name, desk));
  return jsonReply({ input_tokens: countPrompt(conversation) }, anthropicHeaders(desk));
}
