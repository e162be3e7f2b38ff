import type { ModelEntry } from '../http/protocol.ts';
import type {
  AnswerFormat,
  Conversation,
  OfferedTool,
  ToolChoice,
  ToolResult,
  Turn,
} from '../model/conversation.ts';
import type { GenerateRequest, Part } from './generate-request.ts';

/** A checked request in the model's words. */
export function generateConversation(body: GenerateRequest, model: ModelEntry): Conversation {
  const config = body.generationConfig;
  const thinking = config?.thinkingConfig;
  const canThink = model.reasoning !== 'none' && thinking?.thinkingBudget !== 0;
  return {
    model: model.id,
    system: textOf(body.systemInstruction?.parts ?? []),
    turns: body.contents.flatMap(turnsOf),
    tools: (body.tools ?? []).flatMap(tool => (tool.functionDeclarations ?? []).map(offered)),
    toolChoice: choiceOf(body.toolConfig),
    isParallel: true,
    maxOutputTokens: config?.maxOutputTokens,
    stopSequences: config?.stopSequences ?? [],
    format: formatOf(config),
    canThink,
    thinks: canThink && thinking !== undefined,
    cache: undefined,
  };
}

function turnsOf({ role, parts }: GenerateRequest['contents'][number]): Turn[] {
  if (role === 'model') {
    const calls = parts.flatMap(({ functionCall: call }) =>
      call ? [{ id: call.id ?? call.name, name: call.name, arguments: JSON.stringify(call.args ?? {}) }] : [],
    );
    return [{ role: 'assistant', text: textOf(parts), calls }];
  }
  const turns: Turn[] = [];
  const results = parts.flatMap(part => (part.functionResponse ? [resultOf(part.functionResponse)] : []));
  if (results.length > 0) turns.push({ role: 'tool', results });
  const text = textOf(parts);
  const media = parts.filter(part => part.inlineData ?? part.fileData).length;
  if (text !== '' || media > 0) turns.push({ role: 'user', text, media });
  return turns;
}

/** A result that only wraps a text is that text. */
function resultOf({ id, name, response }: NonNullable<Part['functionResponse']>): ToolResult {
  const { error, output, result } = response;
  const inner = error ?? output ?? result;
  const text = typeof inner === 'string' ? inner : JSON.stringify(inner ?? response);
  return { callId: id ?? name, text, isError: error !== undefined };
}

function textOf(parts: readonly Part[]): string {
  return parts.flatMap(part => (part.text === undefined || part.thought ? [] : [part.text])).join('\n');
}

function offered({
  name,
  description,
  parameters,
  parametersJsonSchema,
}: {
  readonly name: string;
  readonly description?: string | undefined;
  readonly parameters?: Record<string, unknown> | undefined;
  readonly parametersJsonSchema?: Record<string, unknown> | undefined;
}): OfferedTool {
  const schema = parametersJsonSchema ?? parameters ?? { type: 'object', properties: {} };
  return { name, description: description ?? '', schema };
}

function choiceOf(config: GenerateRequest['toolConfig']): ToolChoice {
  const calling = config?.functionCallingConfig;
  if (calling?.mode === 'NONE') return { type: 'none' };
  if (calling?.mode !== 'ANY') return { type: 'auto' };
  const names = calling.allowedFunctionNames ?? [];
  return names.length > 0 ? { type: 'named', names } : { type: 'required' };
}

function formatOf(config: GenerateRequest['generationConfig']): AnswerFormat {
  const schema = config?.responseJsonSchema ?? config?.responseSchema;
  if (schema) return { type: 'schema', schema };
  return { type: config?.responseMimeType === 'application/json' ? 'json' : 'text' };
}
