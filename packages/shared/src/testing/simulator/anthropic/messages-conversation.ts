import type { ModelEntry } from '../http/protocol.ts';
import { asText } from '../model/as-text.ts';
import type {
  CacheMark,
  Conversation,
  OfferedTool,
  ToolChoice,
  ToolResult,
  Turn,
} from '../model/conversation.ts';
import type { MessageBlock, MessagesRequest, PromptRequest } from './messages-request.ts';

/** A checked request in the model's words. */
export function messagesConversation(body: MessagesRequest, model: ModelEntry): Conversation {
  return {
    ...promptConversation(body, model),
    maxOutputTokens: body.max_tokens,
    stopSequences: body.stop_sequences ?? [],
  };
}

export function promptConversation(body: PromptRequest, model: ModelEntry): Conversation {
  const canThink = body.thinking?.type === 'enabled' || body.thinking?.type === 'adaptive';
  const choice = body.tool_choice;
  const format = body.output_config?.format;
  const inMessages = body.messages.filter(message => message.role === 'system');
  return {
    model: model.id,
    system: [textOf(body.system ?? ''), ...inMessages.map(message => textOf(message.content))]
      .filter(text => text !== '')
      .join('\n\n'),
    turns: body.messages.flatMap(turnsOf),
    tools: (body.tools ?? []).flatMap(offered),
    toolChoice: choiceOf(choice),
    isParallel: !(choice && 'disable_parallel_tool_use' in choice && choice.disable_parallel_tool_use),
    maxOutputTokens: undefined,
    stopSequences: [],
    format: format ? { type: 'schema', schema: format.schema } : { type: 'text' },
    canThink,
    thinks: canThink,
    cache: cacheMark(body),
  };
}

function turnsOf(message: PromptRequest['messages'][number]): Turn[] {
  const { content } = message;
  const blocks: readonly MessageBlock[] = typeof content === 'string' ? [] : content;
  if (message.role === 'system') return [];
  if (message.role === 'assistant') {
    const calls = blocks.flatMap(block =>
      block.type === 'tool_use'
        ? [{ id: block.id, name: block.name, arguments: JSON.stringify(block.input) }]
        : [],
    );
    return [{ role: 'assistant', text: textOf(content), calls }];
  }
  const turns: Turn[] = [];
  const results = blocks.flatMap(block => (block.type === 'tool_result' ? [resultOf(block)] : []));
  if (results.length > 0) turns.push({ role: 'tool', results });
  const text = textOf(content);
  const media = blocks.filter(block => block.type === 'image' || block.type === 'document').length;
  if (text !== '' || media > 0) turns.push({ role: 'user', text, media });
  return turns;
}

function resultOf(block: Extract<MessageBlock, { type: 'tool_result' }>): ToolResult {
  return { callId: block.tool_use_id, text: textOf(block.content ?? ''), isError: block.is_error === true };
}

function textOf(content: string | readonly { readonly type: string }[]): string {
  if (typeof content === 'string') return content;
  return content
    .flatMap(part => (part.type === 'text' && 'text' in part ? [asText(part.text)] : []))
    .join('\n');
}

function offered(tool: NonNullable<PromptRequest['tools']>[number]): OfferedTool[] {
  if (!('input_schema' in tool)) return [];
  const { name, description, input_schema: schema } = tool;
  return [
    {
      name,
      description: typeof description === 'string' ? description : '',
      schema: schema as Readonly<Record<string, unknown>>, // Of the two kinds of tools only ours has one, and it is an object.
    },
  ];
}

function choiceOf(choice: PromptRequest['tool_choice']): ToolChoice {
  if (choice === undefined || choice.type === 'auto') return { type: 'auto' };
  if (choice.type === 'any') return { type: 'required' };
  if (choice.type === 'tool') return { type: 'named', names: [choice.name] };
  return { type: 'none' };
}

/** Everything up to the last block that bears a mark; all of it for a mark on the request itself. */
function cacheMark(body: PromptRequest): CacheMark | undefined {
  const text = JSON.stringify(body);
  if (!text.includes('"cache_control":{')) return undefined;
  const pieces: unknown[] = [
    ...(body.tools ?? []),
    ...(typeof body.system === 'string' ? [body.system] : (body.system ?? [])),
    ...body.messages.flatMap(({ role, content }): readonly unknown[] =>
      typeof content === 'string' ? [{ role, content }] : content,
    ),
  ];
  const segments = pieces.map(piece => JSON.stringify(piece));
  const last = body.cache_control
    ? segments.length - 1
    : segments.findLastIndex(segment => segment.includes('"cache_control":{'));
  return {
    // Moving the mark does not change what is cached.
    segments: segments.slice(0, last + 1).map(segment => segment.replace(/,?"cache_control":\{[^}]*\}/g, '')),
    ttl: text.includes('"ttl":"1h"') ? '1h' : '5m',
  };
}
