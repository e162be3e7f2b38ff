import {
  ApiError,
  type ApiRequest,
  type Composed,
  type Desk,
  eventStreamHeaders,
  type Frame,
  jsonReply,
  type Reply,
  sseFrame,
} from '../http/protocol.ts';
import { asText } from '../model/as-text.ts';
import { piecesOf, tokensOf } from '../model/compose-answer.ts';
import type { Conversation, Turn } from '../model/conversation.ts';
import { type ChatRequest, parseChat } from './chat-request.ts';

const finishReasons = {
  stop: 'COMPLETE',
  'stop-sequence': 'STOP_SEQUENCE',
  length: 'MAX_TOKENS',
  calls: 'TOOL_CALL',
  refusal: 'ERROR_TOXIC',
  filter: 'ERROR_TOXIC',
} as const;

/** `POST /v2/chat`. */
export function chat(request: ApiRequest, desk: Desk): Reply {
  const body = parseChat(request.body);
  const model = desk.model(body.model);
  if (model === undefined) throw new ApiError(404, `model '${body.model}' not found`);
  const composed = desk.compose(conversationOf(body, model.reasoning !== 'none'));
  const id = desk.ids.next('', 36);
  const calls = composed.blocks.filter(block => block.type === 'call').map(() => desk.ids.next('', 24));
  const billing = { model: model.id, usage: composed.usage };
  if (body.stream !== true)
    return jsonReply(wholeAnswer(id, composed, calls), {}, { billing, fault: composed.fault });
  return {
    type: 'stream',
    headers: eventStreamHeaders,
    frames: eventFrames(id, composed, calls),
    billing,
    fault: composed.fault,
    errorFrame: () =>
      sseFrame(JSON.stringify({ type: 'message-end', id, delta: { finish_reason: 'ERROR', error: 'x' } }), {
        event: 'message-end',
      }).bytes,
    malformedFrame: 'event: content-delta\ndata: {"type":"content-del\n\n',
  };
}

function usageOf({ usage, hidesUsage }: Composed): object {
  if (hidesUsage) return {};
  const counts = { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens };
  return { usage: { billed_units: counts, tokens: counts, cached_tokens: usage.cacheReadTokens } };
}

function wholeAnswer(id: string, composed: Composed, callIds: readonly string[]): object {
  const content = composed.blocks.flatMap((block): object[] => {
    if (block.type === 'call') return [];
    return block.type === 'thinking'
      ? [{ type: 'thinking', thinking: block.text }]
      : [{ type: 'text', text: block.text }];
  });
  const calls = composed.blocks.filter(block => block.type === 'call');
  return {
    id,
    finish_reason: finishReasons[composed.finish],
    message: {
      role: 'assistant',
      ...(content.length > 0 && { content }),
      ...(calls.length > 0 && {
        tool_calls: calls.map((call, index) => ({
          id: callIds[index],
          type: 'function',
          function: { name: call.name, arguments: call.arguments },
        })),
      }),
    },
    ...usageOf(composed),
  };
}

function* eventFrames(id: string, composed: Composed, callIds: readonly string[]): Iterable<Frame> {
  const frame = (event: { type: string; [member: string]: unknown }, tokens = 0) =>
    sseFrame(JSON.stringify(event), { event: event.type, tokens });
  const message = { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] };
  yield frame({ id, type: 'message-start', delta: { message } });
  let contents = 0;
  let calls = 0;
  for (const block of composed.blocks) {
    if (block.type === 'call') {
      const index = calls++;
      const tool_calls = {
        id: callIds[index],
        type: 'function',
        function: { name: block.name, arguments: '' },
      };
      yield frame({ type: 'tool-call-start', index, delta: { message: { tool_calls } } }, 1);
      for (const text of piecesOf(block)) {
        const delta = { message: { tool_calls: { function: { arguments: text } } } };
        yield frame({ type: 'tool-call-delta', index, delta }, 1);
      }
      yield frame(
        { type: 'tool-call-end', index },
        Math.max(0, tokensOf(block) - piecesOf(block).length - 1),
      );
      continue;
    }
    const index = contents++;
    const key = block.type === 'thinking' ? 'thinking' : 'text';
    yield frame({ type: 'content-start', index, delta: { message: { content: { type: key, [key]: '' } } } });
    for (const text of piecesOf(block)) {
      yield frame({ type: 'content-delta', index, delta: { message: { content: { [key]: text } } } }, 1);
    }
    yield frame({ type: 'content-end', index });
  }
  const delta = { finish_reason: finishReasons[composed.finish], ...usageOf(composed) };
  yield frame({ type: 'message-end', id, delta });
  yield { bytes: 'data: [DONE]\n\n', tokens: 0 };
}

function conversationOf(body: ChatRequest, canReason: boolean): Conversation {
  const canThink = canReason && body.thinking?.type !== 'disabled';
  const format = body.response_format;
  return {
    model: body.model,
    system: body.messages
      .flatMap(each => (each.role === 'system' ? [textOf(each.content)] : []))
      .join('\n\n'),
    turns: body.messages.flatMap(turnOf),
    tools: (body.tools ?? []).map(({ function: { name, description, parameters } }) => ({
      name,
      description: description ?? '',
      schema: parameters ?? { type: 'object', properties: {} },
    })),
    toolChoice: {
      type: body.tool_choice === 'REQUIRED' ? 'required' : body.tool_choice === 'NONE' ? 'none' : 'auto',
    },
    isParallel: true,
    maxOutputTokens: body.max_tokens,
    stopSequences: body.stop_sequences ?? [],
    format:
      format?.json_schema === undefined
        ? { type: format?.type === 'json_object' ? 'json' : 'text' }
        : { type: 'schema', schema: format.json_schema },
    canThink,
    thinks: canThink && body.thinking?.type === 'enabled',
    cache: undefined,
  };
}

function turnOf(message: ChatRequest['messages'][number]): Turn[] {
  switch (message.role) {
    case 'system':
      return [];
    case 'user': {
      const media =
        typeof message.content === 'string' ? 0 : message.content.filter(part => part.type !== 'text').length;
      return [{ role: 'user', text: textOf(message.content), media }];
    }
    case 'assistant': {
      const calls = (message.tool_calls ?? []).map(call => ({ id: call.id, ...call.function }));
      return [{ role: 'assistant', text: textOf(message.content ?? ''), calls }];
    }
    case 'tool':
      return [
        {
          role: 'tool',
          results: [{ callId: message.tool_call_id, text: textOf(message.content), isError: false }],
        },
      ];
  }
}

function textOf(content: string | readonly { readonly type: string }[]): string {
  if (typeof content === 'string') return content;
  return content.flatMap(part => ('text' in part ? [asText(part.text)] : [])).join('\n');
}
