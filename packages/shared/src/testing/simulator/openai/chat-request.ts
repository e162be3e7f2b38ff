import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';

const jsonObject = z.record(z.string(), z.unknown());
const name = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, "string does not match pattern '^[a-zA-Z0-9_-]+$'");

const textPart = z.looseObject({ type: z.literal('text'), text: z.string() });
const userPart = z.discriminatedUnion('type', [
  textPart,
  z.looseObject({ type: z.literal('image_url'), image_url: z.looseObject({ url: z.string() }) }),
  z.looseObject({
    type: z.literal('input_audio'),
    input_audio: z.looseObject({ data: z.string(), format: z.string() }),
  }),
  z.looseObject({ type: z.literal('file'), file: jsonObject }),
]);
const assistantPart = z.discriminatedUnion('type', [
  textPart,
  z.looseObject({ type: z.literal('refusal'), refusal: z.string() }),
]);
const texts = z.union([z.string(), z.array(textPart).min(1)]);

const toolCall = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('function'),
    id: z.string(),
    function: z.looseObject({ name: z.string(), arguments: z.string() }),
  }),
  z.looseObject({
    type: z.literal('custom'),
    id: z.string(),
    custom: z.looseObject({ name: z.string(), input: z.string() }),
  }),
]);

const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer']), content: texts }),
  z.looseObject({ role: z.literal('user'), content: z.union([z.string(), z.array(userPart).min(1)]) }),
  z.looseObject({
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(assistantPart), z.null()]).optional(),
    refusal: z.string().nullish(),
    tool_calls: z.array(toolCall).min(1).nullish(),
  }),
  z.looseObject({ role: z.literal('tool'), content: texts, tool_call_id: z.string() }),
]);

const tool = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('function'),
    function: z.looseObject({
      name,
      description: z.string().optional(),
      parameters: jsonObject.optional(),
      strict: z.boolean().nullish(),
    }),
  }),
  z.looseObject({
    type: z.literal('custom'),
    custom: z.looseObject({ name, description: z.string().optional() }),
  }),
]);

const namedTool = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
  z.looseObject({ type: z.literal('custom'), custom: z.looseObject({ name: z.string() }) }),
]);
const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({
    type: z.literal('allowed_tools'),
    allowed_tools: z.looseObject({ mode: z.enum(['auto', 'required']), tools: z.array(namedTool).min(1) }),
  }),
  namedTool,
]);

const responseFormat = z.discriminatedUnion('type', [
  z.looseObject({ type: z.enum(['text', 'json_object']) }),
  z.looseObject({
    type: z.literal('json_schema'),
    json_schema: z.looseObject({ name, schema: jsonObject.optional(), strict: z.boolean().nullish() }),
  }),
]);

const count = z.int().min(1).nullish();
const penalty = z.number().min(-2).max(2).nullish();

export const chatRequestSchema = z
  .strictObject({
    model: z.string(),
    messages: z.array(message).min(1),
    audio: z.unknown(),
    frequency_penalty: penalty,
    function_call: z.unknown(),
    functions: z.unknown(),
    logit_bias: z.record(z.string(), z.number()).nullish(),
    logprobs: z.boolean().nullish(),
    max_completion_tokens: count,
    max_tokens: count,
    metadata: z.record(z.string(), z.string()).nullish(),
    modalities: z.array(z.string()).nullish(),
    moderation: z.unknown(),
    n: z.int().min(1).max(128).nullish(),
    parallel_tool_calls: z.boolean().optional(),
    prediction: z.unknown(),
    presence_penalty: penalty,
    prompt_cache_key: z.string().nullish(),
    prompt_cache_options: z.unknown(),
    prompt_cache_retention: z.enum(['in_memory', '24h']).nullish(),
    reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
    response_format: responseFormat.optional(),
    safety_identifier: z.string().nullish(),
    seed: z.int().nullish(),
    service_tier: z.enum(['auto', 'default', 'flex', 'scale', 'priority', 'fast']).nullish(),
    stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
    store: z.boolean().nullish(),
    stream: z.boolean().nullish(),
    stream_options: z
      .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
      .nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    tool_choice: toolChoice.optional(),
    tools: z.array(tool).min(1).max(128).optional(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    user: z.string().optional(),
    verbosity: z.enum(['low', 'medium', 'high']).nullish(),
    web_search_options: z.unknown(),
  })
  .partial({
    audio: true,
    function_call: true,
    functions: true,
    moderation: true,
    prediction: true,
    prompt_cache_options: true,
    web_search_options: true,
  });

export type ChatRequest = z.output<typeof chatRequestSchema>;

/** What a schema cannot say. */
export function checkChatRequest(body: ChatRequest): void {
  if (body.stream_options && !body.stream)
    throw new ApiError(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", {
      param: 'stream_options',
    });
  if (body.tool_choice !== undefined && body.tool_choice !== 'none' && !body.tools)
    throw new ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", {
      param: 'tool_choice',
    });
  if (body.parallel_tool_calls !== undefined && !body.tools)
    throw new ApiError(400, "'parallel_tool_calls' is only allowed when 'tools' are specified.", {
      param: 'parallel_tool_calls',
    });
  if (body.max_tokens != null && body.max_completion_tokens != null)
    throw new ApiError(
      400,
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
      {
        param: 'max_tokens',
        code: 'invalid_parameter_combination',
      },
    );
  const missing = chosenTools(body.tool_choice).find(
    chosen => !body.tools?.some(each => nameOf(each) === chosen),
  );
  if (missing !== undefined)
    throw new ApiError(400, `Tool choice '${missing}' not found in 'tools' parameter.`, {
      param: 'tool_choice',
    });
  checkPairing(body.messages);
}

/** The tools that a choice names, none for a word. */
export function chosenTools(choice: ChatRequest['tool_choice']): string[] {
  if (choice === undefined || typeof choice === 'string') return [];
  return choice.type === 'allowed_tools' ? choice.allowed_tools.tools.map(nameOf) : [nameOf(choice)];
}

function nameOf(named: z.output<typeof namedTool>): string {
  return named.type === 'function' ? named.function.name : named.custom.name;
}

function checkPairing(messages: ChatRequest['messages']): void {
  let open = new Set<string>();
  messages.forEach((entry, index) => {
    if (entry.role === 'tool') {
      if (!open.delete(entry.tool_call_id))
        throw new ApiError(
          400,
          "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
          { param: `messages.[${index}].role` },
        );
      return;
    }
    refuseOpen(open);
    open = new Set(entry.role === 'assistant' ? entry.tool_calls?.map(call => call.id) : []);
  });
  refuseOpen(open);
}

function refuseOpen(open: ReadonlySet<string>): void {
  if (open.size === 0) return;
  throw new ApiError(
    400,
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(', ')}`,
    { param: 'messages' },
  );
}
