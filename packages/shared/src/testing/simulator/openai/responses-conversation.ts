import type { ModelEntry } from '../http/protocol.ts';
import { asText } from '../model/as-text.ts';
import type { AnswerFormat, Conversation, OfferedTool, ToolChoice, Turn } from '../model/conversation.ts';
import type { InputItem, ResponsesRequest } from './responses-request.ts';

/** A checked request in the model's words; `items` is the whole input, what came before included. */
export function responsesConversation(
  body: ResponsesRequest,
  items: readonly InputItem[],
  model: ModelEntry,
): Conversation {
  const canThink = model.reasoning !== 'none' && body.reasoning?.effort !== 'none';
  const system = items.flatMap(item =>
    'role' in item && (item.role === 'system' || item.role === 'developer') ? [textOf(item.content)] : [],
  );
  return {
    model: model.id,
    system: [body.instructions ?? '', ...system].filter(text => text !== '').join('\n\n'),
    turns: joinCalls(items.flatMap(turnOf)),
    tools: (body.tools ?? []).flatMap(offered),
    toolChoice: choiceOf(body.tool_choice),
    isParallel: body.parallel_tool_calls !== false,
    maxOutputTokens: body.max_output_tokens ?? undefined,
    stopSequences: [],
    format: formatOf(body.text?.format),
    canThink,
    thinks: canThink && body.reasoning != null,
    cache:
      body.prompt_cache_key == null
        ? undefined
        : { segments: [body.instructions ?? '', ...items.map(item => JSON.stringify(item))], ttl: '5m' },
  };
}

function turnOf(item: InputItem): Turn[] {
  if ('role' in item) {
    const text = textOf(item.content);
    if (item.role === 'user') return [{ role: 'user', text, media: mediaIn(item.content) }];
    return item.role === 'assistant' ? [{ role: 'assistant', text, calls: [] }] : [];
  }
  const callId = asText('call_id' in item ? item.call_id : '');
  switch (item.type) {
    case 'function_call':
      return [
        {
          role: 'assistant',
          text: '',
          calls: [{ id: callId, name: asText(item.name), arguments: asText(item.arguments) }],
        },
      ];
    case 'custom_tool_call':
      return [
        {
          role: 'assistant',
          text: '',
          calls: [{ id: callId, name: asText(item.name), arguments: asText(item.input) }],
        },
      ];
    case 'function_call_output':
    case 'custom_tool_call_output':
      return [{ role: 'tool', results: [{ callId, text: textOf(item.output), isError: false }] }];
    default:
      return [];
  }
}

/** Calls of one answer come as items of their own; together they are one turn. */
function joinCalls(turns: readonly Turn[]): Turn[] {
  const joined: Turn[] = [];
  for (const turn of turns) {
    const last = joined.at(-1);
    if (last?.role === 'assistant' && turn.role === 'assistant')
      joined[joined.length - 1] = {
        role: 'assistant',
        text: last.text + turn.text,
        calls: [...last.calls, ...turn.calls],
      };
    else joined.push(turn);
  }
  return joined;
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  const parts: readonly object[] = Array.isArray(content) ? content : [];
  return parts.flatMap(part => ('text' in part ? [asText(part.text)] : [])).join('\n');
}

function mediaIn(content: unknown): number {
  const parts: readonly object[] = Array.isArray(content) ? content : [];
  return parts.filter(part => 'type' in part && /^input_(image|file|audio)$/.test(asText(part.type))).length;
}

function offered(tool: NonNullable<ResponsesRequest['tools']>[number]): OfferedTool[] {
  if (tool.type !== 'function' && tool.type !== 'custom') return [];
  const { name, description, parameters } = tool as {
    name: string;
    description?: string | null;
    parameters?: Record<string, unknown> | null;
  }; // The union's last member is loose, so its shape hides the others'.
  const schema = tool.type === 'custom' ? undefined : (parameters ?? { type: 'object', properties: {} });
  return [{ name, description: description ?? '', schema }];
}

function choiceOf(choice: ResponsesRequest['tool_choice']): ToolChoice {
  if (choice === undefined) return { type: 'auto' };
  if (typeof choice === 'string') return { type: choice };
  if (choice.type === 'function' || choice.type === 'custom')
    return { type: 'named', names: ['name' in choice ? asText(choice.name) : ''] };
  if (choice.type === 'allowed_tools' && 'mode' in choice && choice.mode === 'required') {
    const tools = choice.tools as readonly { readonly name?: string }[]; // As above.
    return { type: 'named', names: tools.map(tool => tool.name ?? '') };
  }
  return { type: 'auto' };
}

function formatOf(format: NonNullable<ResponsesRequest['text']>['format']): AnswerFormat {
  if (format?.type === 'json_schema') return { type: 'schema', schema: format.schema };
  return { type: format?.type === 'json_object' ? 'json' : 'text' };
}
