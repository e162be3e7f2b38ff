import type { ModelEntry } from '../http/protocol.ts';
import type {
  CacheMark,
  Conversation,
  JsonSchema,
  OfferedTool,
  ToolChoice,
  ToolResult,
  Turn,
} from '../model/conversation.ts';
import { isObject } from '../model/schema-instance.ts';
import type { ConverseBlock, ConverseMessage, ConverseRequest } from './converse-request.ts';

/** A checked request in the model's words. */
export function converseConversation(body: ConverseRequest, model: ModelEntry): Conversation {
  const more = body.additionalModelRequestFields ?? {};
  const thinking = more.thinking ?? more.reasoning_config;
  const canThink = isObject(thinking) && (thinking.type === 'enabled' || thinking.type === 'adaptive');
  const schema = body.outputConfig?.textFormat?.structure.jsonSchema.schema;
  return {
    model: model.id,
    system: (body.system ?? []).flatMap(each => each.text ?? []).join('\n\n'),
    turns: (body.messages ?? []).flatMap(turnsOf),
    tools: (body.toolConfig?.tools ?? []).flatMap(offered),
    toolChoice: choiceOf(body.toolConfig?.toolChoice),
    isParallel: true,
    maxOutputTokens: body.inferenceConfig?.maxTokens,
    stopSequences: body.inferenceConfig?.stopSequences ?? [],
    format: schema === undefined ? { type: 'text' } : { type: 'schema', schema: readSchema(schema) },
    canThink,
    thinks: canThink,
    cache: cacheMark(body),
  };
}

function turnsOf({ role, content }: ConverseMessage): Turn[] {
  const text = content.flatMap(each => each.text ?? []).join('\n');
  if (role === 'assistant') {
    const calls = content.flatMap(({ toolUse }) =>
      toolUse
        ? [{ id: toolUse.toolUseId, name: toolUse.name, arguments: JSON.stringify(toolUse.input) }]
        : [],
    );
    return [{ role, text, calls }];
  }
  const turns: Turn[] = [];
  const results = content.flatMap(each => (each.toolResult ? [resultOf(each.toolResult)] : []));
  if (results.length > 0) turns.push({ role: 'tool', results });
  const media = content.filter(each => each.image ?? each.document ?? each.video ?? each.audio).length;
  if (text !== '' || media > 0) turns.push({ role: 'user', text, media });
  return turns;
}

function resultOf({ toolUseId, content, status }: NonNullable<ConverseBlock['toolResult']>): ToolResult {
  const text = content
    .flatMap(each => each.text ?? (each.json === undefined ? [] : JSON.stringify(each.json)))
    .join('\n');
  return { callId: toolUseId, text, isError: status === 'error' };
}

function offered({ toolSpec }: NonNullable<ConverseRequest['toolConfig']>['tools'][number]): OfferedTool[] {
  if (!toolSpec) return [];
  return [
    { name: toolSpec.name, description: toolSpec.description ?? '', schema: toolSpec.inputSchema.json },
  ];
}

function choiceOf(choice: NonNullable<ConverseRequest['toolConfig']>['toolChoice']): ToolChoice {
  if (choice?.tool) return { type: 'named', names: [choice.tool.name] };
  return { type: choice?.any ? 'required' : 'auto' };
}

function readSchema(text: string): JsonSchema {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    // A schema that is no JSON allows anything.
    return {};
  }
}

/** Everything before the last cache point. */
function cacheMark(body: ConverseRequest): CacheMark | undefined {
  const pieces = [
    ...(body.toolConfig?.tools ?? []),
    ...(body.system ?? []),
    ...(body.messages ?? []).flatMap(message => message.content),
  ];
  const last = pieces.findLastIndex(piece => piece.cachePoint !== undefined);
  if (last === -1) return undefined;
  const before = pieces.slice(0, last).filter(piece => piece.cachePoint === undefined);
  return {
    segments: before.map(piece => JSON.stringify(piece)),
    ttl: pieces[last]?.cachePoint?.ttl ?? '5m',
  };
}
