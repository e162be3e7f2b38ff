import type { ModelEntry } from '../http/protocol.ts';
import { asText } from '../model/as-text.ts';
import type { AnswerFormat, Conversation, OfferedTool, ToolChoice, Turn } from '../model/conversation.ts';
import { type ChatRequest, chosenTools } from './chat-request.ts';

type Message = ChatRequest['messages'][number];

/** A checked request in the model's words. */
export function chatConversation(body: ChatRequest, model: ModelEntry): Conversation {
  const canThink = model.reasoning !== 'none' && body.reasoning_effort !== 'none';
  return {
    model: model.id,
    system: body.messages
      .filter(message => message.role === 'system' || message.role === 'developer')
      .map(message => textOf(message.content))
      .join('\n\n'),
    turns: body.messages.flatMap(turnOf),
    tools: (body.tools ?? []).map(offered),
    toolChoice: choiceOf(body.tool_choice),
    isParallel: body.parallel_tool_calls !== false,
    maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    stopSequences: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    format: formatOf(body.response_format),
    canThink,
    thinks: canThink && body.reasoning_effort != null,
    // Caching is automatic; here only requests that name a key take part, so that all others cost the same each time.
    cache: body.prompt_cache_key == null ? undefined : { segments: segmentsOf(body), ttl: '5m' },
  };
}

function segmentsOf(body: ChatRequest): string[] {
  const tools = body.tools ? [JSON.stringify(body.tools)] : [];
  return [...tools, ...body.messages.map(message => JSON.stringify(message))];
}

function turnOf(message: Message): Turn[] {
  switch (message.role) {
    case 'user':
      return [{ role: 'user', text: textOf(message.content), media: mediaIn(message.content) }];
    case 'assistant':
      return [
        { role: 'assistant', text: textOf(message.content), calls: (message.tool_calls ?? []).map(callOf) },
      ];
    case 'tool':
      return [
        {
          role: 'tool',
          results: [{ callId: message.tool_call_id, text: textOf(message.content), isError: false }],
        },
      ];
    default:
      return [];
  }
}

function callOf(call: NonNullable<Extract<Message, { role: 'assistant' }>['tool_calls']>[number]) {
  return call.type === 'function'
    ? { id: call.id, name: call.function.name, arguments: call.function.arguments }
    : { id: call.id, name: call.custom.name, arguments: call.custom.input };
}

function textOf(content: Message['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).flatMap(part => ('text' in part ? [asText(part.text)] : [])).join('\n');
}

function mediaIn(content: Message['content']): number {
  if (typeof content === 'string') return 0;
  return (content ?? []).filter(part => part.type !== 'text').length;
}

function offered(tool: NonNullable<ChatRequest['tools']>[number]): OfferedTool {
  if (tool.type === 'custom')
    return { name: tool.custom.name, description: tool.custom.description ?? '', schema: undefined };
  const { name, description, parameters } = tool.function;
  return { name, description: description ?? '', schema: parameters ?? { type: 'object', properties: {} } };
}

function choiceOf(choice: ChatRequest['tool_choice']): ToolChoice {
  if (choice === undefined) return { type: 'auto' };
  if (typeof choice === 'string') return { type: choice };
  // A subset under `auto` is not forced; the simulator's model takes one of it whenever the prompt asks for a tool.
  if (choice.type === 'allowed_tools' && choice.allowed_tools.mode === 'auto') return { type: 'auto' };
  return { type: 'named', names: chosenTools(choice) };
}

function formatOf(format: ChatRequest['response_format']): AnswerFormat {
  if (format?.type === 'json_object') return { type: 'json' };
  if (format?.type !== 'json_schema') return { type: 'text' };
  return { type: 'schema', schema: format.json_schema.schema ?? { type: 'object', properties: {} } };
}
