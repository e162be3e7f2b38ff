import {
  ApiError,
  type ApiRequest,
  type Desk,
  eventStreamHeaders,
  type Frame,
  jsonReply,
  type Reply,
  sseFrame,
  type WholeReply,
} from '../http/protocol.ts';
import { openaiHeaders } from './headers.ts';
import { modelOf, parseBody } from './parse.ts';
import { type ResponseParts, responseEvents, type WireResponse, wholeResponse } from './responses-answer.ts';
import { responsesConversation } from './responses-conversation.ts';
import {
  checkInput,
  type InputItem,
  type ResponsesRequest,
  responsesRequestSchema,
} from './responses-request.ts';

/** A stored answer and all that led to it, so that the next request can go on from there. */
interface StoredResponse {
  readonly response: WireResponse;
  readonly input: readonly InputItem[];
}

/** `POST /v1/responses`. */
export function createResponse(request: ApiRequest, desk: Desk): Reply {
  const body = parseBody(request.body, responsesRequestSchema);
  const model = modelOf(body.model, desk, 'chat');
  if (body.input === undefined && !body.prompt)
    throw new ApiError(400, "Missing required parameter: 'input'.", {
      param: 'input',
      code: 'missing_required_parameter',
    });
  const items = [...earlierItems(body, desk), ...inputItems(body)];
  checkInput(items);
  const composed = desk.compose(responsesConversation(body, items, model));
  const response = wholeResponse(body, composed, desk);
  if (body.store !== false) desk.stored.set(response.id, { response, input: items } satisfies StoredResponse);
  const billing = { model: model.id, usage: composed.usage };
  const headers = openaiHeaders(desk);
  if (!body.stream) return jsonReply(response, headers, { billing, fault: composed.fault });
  let sequence = 0;
  return {
    type: 'stream',
    headers: { ...eventStreamHeaders, ...headers },
    frames: numberedFrames({ body, composed, response }, () => sequence++),
    billing,
    fault: composed.fault,
    errorFrame: error => {
      const data = {
        type: 'error',
        code: 'server_error',
        message: error.message,
        param: null,
        sequence_number: sequence,
      };
      return `event: error\ndata: ${JSON.stringify(data)}\n\n`;
    },
    malformedFrame:
      'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"bro\n\n',
  };
}

function* numberedFrames(parts: ResponseParts, nextNumber: () => number): Iterable<Frame> {
  const { composed } = parts;
  let sentTokens = 0;
  for (const { event, tokens } of responseEvents(parts)) {
    const isLast = event.type === 'response.completed' || event.type === 'response.incomplete';
    // Thinking that is not shown is on the bill all the same.
    const brought = isLast ? composed.usage.outputTokens - sentTokens : tokens;
    sentTokens += brought;
    const data = JSON.stringify({ ...event, sequence_number: nextNumber() });
    yield sseFrame(data, { event: event.type, tokens: brought });
  }
}

function inputItems(body: ResponsesRequest): readonly InputItem[] {
  if (typeof body.input !== 'string') return body.input ?? [];
  return [{ type: 'message', role: 'user', content: body.input }];
}

function earlierItems(body: ResponsesRequest, desk: Desk): readonly InputItem[] {
  const id = body.previous_response_id;
  if (id == null) return [];
  const earlier = desk.stored.get(id) as StoredResponse | undefined; // This API stores nothing else.
  if (!earlier)
    throw new ApiError(404, `Previous response with id '${id}' not found.`, {
      param: 'previous_response_id',
      code: 'previous_response_not_found',
    });
  return [...earlier.input, ...(earlier.response.output as unknown as readonly InputItem[])]; // Output items are input items.
}

/** `GET /v1/responses/{id}`. */
export function readResponse(request: ApiRequest, desk: Desk): WholeReply {
  return jsonReply(storedResponse(request, desk).response, openaiHeaders(desk));
}

/** `GET /v1/responses/{id}/input_items`, all on one page. */
export function listInputItems(request: ApiRequest, desk: Desk): WholeReply {
  const data = storedResponse(request, desk).input.toReversed();
  return jsonReply(
    { object: 'list', data, has_more: false, first_id: null, last_id: null },
    openaiHeaders(desk),
  );
}

/** `DELETE /v1/responses/{id}`. */
export function deleteResponse(request: ApiRequest, desk: Desk): WholeReply {
  const { id } = storedResponse(request, desk).response;
  desk.stored.delete(id);
  return jsonReply({ id, object: 'response', deleted: true }, openaiHeaders(desk));
}

function storedResponse(request: ApiRequest, desk: Desk): StoredResponse {
  const id = request.captured[0] ?? '';
  const found = desk.stored.get(id) as StoredResponse | undefined; // This API stores nothing else.
  if (!found) throw new ApiError(404, `Response with id '${id}' not found.`);
  return found;
}
