import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';
import { isSignatureOf } from '../model/signature.ts';

const jsonObject = z.record(z.string(), z.unknown());
const cacheControl = z
  .strictObject({ type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).optional() })
  .nullish();
const textBlock = z.looseObject({ type: z.literal('text'), text: z.string(), cache_control: cacheControl });
const mediaBlock = z.looseObject({
  type: z.enum(['image', 'document']),
  source: z.looseObject({ type: z.string() }),
  cache_control: cacheControl,
});
const resultBlock = z.looseObject({
  type: z.literal('tool_result'),
  tool_use_id: z.string().regex(/^[a-zA-Z0-9_-]+$/, "String should match pattern '^[a-zA-Z0-9_-]+$'"),
  content: z
    .union([z.string(), z.array(z.union([textBlock, mediaBlock, z.looseObject({ type: z.string() })]))])
    .optional(),
  is_error: z.boolean().nullish(),
  cache_control: cacheControl,
});
const useBlock = z.looseObject({
  type: z.literal('tool_use'),
  id: z.string().regex(/^[a-zA-Z0-9_-]+$/, "String should match pattern '^[a-zA-Z0-9_-]+$'"),
  name: z.string().min(1).max(200),
  input: jsonObject,
  cache_control: cacheControl,
});
const thinkingBlock = z.looseObject({
  type: z.literal('thinking'),
  thinking: z.string(),
  signature: z.string(),
});
const redactedBlock = z.looseObject({ type: z.literal('redacted_thinking'), data: z.string() });
const otherBlock = z.looseObject({ type: z.enum(['search_result', 'container_upload', 'server_tool_use']) });

const block = z.discriminatedUnion('type', [
  textBlock,
  mediaBlock,
  resultBlock,
  useBlock,
  thinkingBlock,
  redactedBlock,
  otherBlock,
]);

const message = z.strictObject({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.union([z.string(), z.array(block)]),
});

const customTool = z.looseObject({
  type: z.literal('custom').nullish(),
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/, "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
  description: z.string().optional(),
  input_schema: z.looseObject({ type: z.literal('object') }),
  cache_control: cacheControl,
});
/** Tools that Anthropic runs or defines; the simulator knows of them and never calls one. */
const hostedTool = z.looseObject({ type: z.string().regex(/_\d{8}$/), name: z.string() });

const toolChoice = z.discriminatedUnion('type', [
  z.strictObject({ type: z.enum(['auto', 'any']), disable_parallel_tool_use: z.boolean().optional() }),
  z.strictObject({
    type: z.literal('tool'),
    name: z.string(),
    disable_parallel_tool_use: z.boolean().optional(),
  }),
  z.strictObject({ type: z.literal('none') }),
]);

const display = z.enum(['summarized', 'omitted']).nullish();
const thinking = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('enabled'), budget_tokens: z.int().min(1024), display }),
  z.strictObject({ type: z.literal('adaptive'), display }),
  z.strictObject({ type: z.enum(['disabled', 'between_tools']) }),
]);

/** The part of a request that counting tokens takes too. */
const promptShape = {
  messages: z.array(message).min(1, 'at least one message is required'),
  cache_control: cacheControl,
  output_config: z
    .strictObject({
      effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      format: z.strictObject({ type: z.literal('json_schema'), schema: jsonObject }).nullish(),
    })
    .optional(),
  speed: z.enum(['standard', 'fast']).nullish(),
  system: z.union([z.string(), z.array(textBlock)]).optional(),
  thinking: thinking.optional(),
  tool_choice: toolChoice.optional(),
  tools: z.array(z.union([customTool, hostedTool])).optional(),
};

const messagesShape = {
  ...promptShape,
  max_tokens: z.int().min(1),
  container: z.unknown().optional(),
  mcp_servers: z.array(z.looseObject({ type: z.string() })).optional(),
  thread: z.unknown().optional(),
  diagnostics: z.unknown().optional(),
  inference_geo: z.string().nullish(),
  metadata: z.strictObject({ user_id: z.string().nullish() }).optional(),
  context_management: z
    .looseObject({ edits: z.array(z.looseObject({ type: z.string() })).optional() })
    .optional(),
  service_tier: z.enum(['auto', 'standard_only']).optional(),
  stop_sequences: z.array(z.string().min(1)).optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  top_p: z.number().min(0).max(1).optional(),
};

export const messagesRequestSchema = z.strictObject({
  model: z.string(),
  stream: z.boolean().optional(),
  ...messagesShape,
});

export const countTokensRequestSchema = z.strictObject({ model: z.string(), ...promptShape });

/** As Bedrock's InvokeModel takes it: the model is in the path, and so is the wish to stream. */
export const invokeRequestSchema = z.strictObject({
  anthropic_version: z.literal('bedrock-2023-05-31'),
  anthropic_beta: z.array(z.string()).optional(),
  ...messagesShape,
});

export type PromptRequest = Omit<z.output<typeof countTokensRequestSchema>, 'model'>;
export type MessagesRequest = Omit<z.output<typeof messagesRequestSchema>, 'model' | 'stream'>;
type Message = PromptRequest['messages'][number];
export type MessageBlock = Exclude<Message['content'], string>[number];

const invalid = (message: string) => new ApiError(400, message);

/** What a schema cannot say about a request that is to be answered. */
export function checkMessagesRequest(body: MessagesRequest): void {
  checkPrompt(body);
  if (body.thinking?.type === 'enabled' && body.thinking.budget_tokens >= body.max_tokens)
    throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`.');
  const isThinking = body.thinking?.type === 'enabled' || body.thinking?.type === 'adaptive';
  if (isThinking && (body.tool_choice?.type === 'any' || body.tool_choice?.type === 'tool'))
    throw invalid('Thinking may not be enabled when tool_choice forces tool use.');
  if (isThinking && body.temperature !== undefined && body.temperature !== 1)
    throw invalid('`temperature` may only be set to 1 when thinking is enabled.');
  if (isThinking && body.top_k !== undefined)
    throw invalid('`top_k` must be unset when thinking is enabled.');
  if (isThinking && body.top_p !== undefined && body.top_p < 0.95)
    throw invalid('`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.');
}

/** What a schema cannot say about a prompt: order, pairing, empty texts, cache marks, signatures. */
export function checkPrompt(body: PromptRequest): void {
  if (body.messages[0]?.role === 'assistant')
    throw invalid('messages: first message must use the "user" role');
  body.messages.forEach((entry, index) => {
    checkTexts(entry, index);
    if (Array.isArray(entry.content)) checkSignatures(entry.content, index);
  });
  checkPairing(body.messages);
  const last = body.messages.at(-1);
  const lastText = typeof last?.content === 'string' ? last.content : textAtEnd(last?.content);
  if (last?.role === 'assistant' && /\s$/.test(lastText))
    throw invalid('messages: final assistant content cannot end with trailing whitespace');
  const { tool_choice: choice } = body;
  if (choice && choice.type !== 'none' && !body.tools?.length)
    throw invalid('tool_choice: tool_choice may only be specified while providing tools.');
  if (choice?.type === 'tool' && !body.tools?.some(tool => tool.name === choice.name))
    throw invalid(`tool_choice.tool.name: Tool '${choice.name}' not found in provided tools`);
  const marks = JSON.stringify(body).split('"cache_control":{').length - 1;
  if (marks > 4) throw invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${marks}.`);
}

function checkTexts({ content, role }: Message, index: number): void {
  if (content.length === 0 && role !== 'assistant')
    throw invalid(`messages.${index}: user messages must have non-empty content`);
  if (typeof content !== 'string' && content.some(part => part.type === 'text' && part.text === ''))
    throw invalid('messages: text content blocks must be non-empty');
}

function textAtEnd(content: Message['content'] | undefined): string {
  const last = Array.isArray(content) ? content.at(-1) : undefined;
  return last?.type === 'text' ? last.text : '';
}

function checkSignatures(content: readonly MessageBlock[], index: number): void {
  content.forEach((part, at) => {
    if (part.type === 'thinking' && !isSignatureOf(part.signature, part.thinking))
      throw invalid(`messages.${index}.content.${at}: Invalid \`signature\` in \`thinking\` block`);
  });
}

function checkPairing(messages: readonly Message[]): void {
  let open: readonly string[] = [];
  messages.forEach((entry, index) => {
    const content = typeof entry.content === 'string' ? [] : entry.content;
    const answered = content.flatMap(part => (part.type === 'tool_result' ? [part.tool_use_id] : []));
    const stray = answered.find(id => !open.includes(id));
    if (stray !== undefined)
      throw invalid(
        `messages.${index}.content.${content.findIndex(part => part.type === 'tool_result' && part.tool_use_id === stray)}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`,
      );
    refuseOpen(
      open.filter(id => !answered.includes(id)),
      index - 1,
    );
    if (answered.length > 0 && content.slice(0, answered.length).some(part => part.type !== 'tool_result'))
      throw invalid(
        `messages.${index}: \`tool_result\` blocks must come first in the content of the message that answers \`tool_use\``,
      );
    open =
      entry.role === 'assistant' ? content.flatMap(part => (part.type === 'tool_use' ? [part.id] : [])) : [];
  });
  refuseOpen(open, messages.length - 1);
}

function refuseOpen(ids: readonly string[], index: number): void {
  if (ids.length === 0) return;
  throw invalid(
    `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids.join(', ')}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
  );
}
