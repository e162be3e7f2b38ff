import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';
import { asText } from '../model/as-text.ts';

const jsonObject = z.record(z.string(), z.unknown());
const name = z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/, "string does not match pattern '^[a-zA-Z0-9_-]+$'");

const inputPart = z.discriminatedUnion('type', [
  z.looseObject({ type: z.enum(['input_text', 'output_text', 'text']), text: z.string() }),
  z.looseObject({ type: z.literal('refusal'), refusal: z.string() }),
  z.looseObject({ type: z.enum(['input_image', 'input_file', 'input_audio']) }),
]);
const content = z.union([z.string(), z.array(inputPart)]);
const message = z.looseObject({
  type: z.literal('message').optional(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content,
});

const item = z.union([
  z.looseObject({
    type: z.literal('function_call'),
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
  z.looseObject({ type: z.literal('function_call_output'), call_id: z.string(), output: content }),
  z.looseObject({
    type: z.literal('custom_tool_call'),
    call_id: z.string(),
    name: z.string(),
    input: z.string(),
  }),
  z.looseObject({ type: z.literal('custom_tool_call_output'), call_id: z.string(), output: content }),
  z.looseObject({
    type: z.literal('reasoning'),
    // Codex sends it back without.
    id: z.string().optional(),
    summary: z.array(z.looseObject({ type: z.literal('summary_text'), text: z.string() })),
    encrypted_content: z.string().nullish(),
  }),
  z.looseObject({ type: z.literal('item_reference'), id: z.string() }),
  message,
]);

const tool = z.union([
  z.looseObject({
    type: z.literal('function'),
    name,
    description: z.string().nullish(),
    parameters: jsonObject.nullish(),
    strict: z.boolean().nullish(),
  }),
  z.looseObject({ type: z.literal('custom'), name, description: z.string().nullish() }),
  // Tools that OpenAI runs; the simulator knows of them and never calls one.
  z.looseObject({
    type: z
      .string()
      .regex(
        /^(web_search|file_search|code_interpreter|image_generation|mcp|computer|shell|local_shell|apply_patch|tool_search)/,
      ),
  }),
]);

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({ type: z.enum(['function', 'custom']), name: z.string() }),
  z.looseObject({
    type: z.literal('allowed_tools'),
    mode: z.enum(['auto', 'required']),
    tools: z.array(z.looseObject({ name: z.string().optional() })),
  }),
  // Tools that OpenAI runs.
  z.looseObject({ type: z.string().regex(/^(?!function$|custom$|allowed_tools$)/) }),
]);

const textFormat = z.discriminatedUnion('type', [
  z.looseObject({ type: z.enum(['text', 'json_object']) }),
  z.looseObject({
    type: z.literal('json_schema'),
    name: z.string(),
    schema: jsonObject,
    strict: z.boolean().nullish(),
  }),
]);

export const responsesRequestSchema = z.strictObject({
  model: z.string(),
  access_programs: z.unknown().optional(),
  background: z.literal(false).nullish(),
  context_management: z.unknown().optional(),
  conversation: z.null().optional(),
  image: z.unknown().optional(),
  include: z.array(z.string()).nullish(),
  input: z.union([z.string(), z.array(item)]).optional(),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(16).nullish(),
  max_tool_calls: z.int().min(1).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  client_metadata: z.record(z.string(), z.string()).nullish(),
  moderation: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  previous_response_id: z.string().nullish(),
  prompt: z.unknown().optional(),
  prompt_cache_key: z.string().nullish(),
  prompt_cache_options: z.unknown().optional(),
  prompt_cache_retention: z.enum(['in_memory', '24h']).nullish(),
  reasoning: z
    .looseObject({
      effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      summary: z.enum(['auto', 'concise', 'detailed']).nullish(),
    })
    .nullish(),
  safety_identifier: z.string().nullish(),
  service_tier: z.string().nullish(),
  store: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.boolean().optional() }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  text: z
    .looseObject({ format: textFormat.optional(), verbosity: z.enum(['low', 'medium', 'high']).nullish() })
    .optional(),
  tool_choice: toolChoice.optional(),
  tools: z.array(tool).optional(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  user: z.string().optional(),
});

export type ResponsesRequest = z.output<typeof responsesRequestSchema>;
export type InputItem = Exclude<NonNullable<ResponsesRequest['input']>, string>[number];

/** The start of what stands for reasoning that only the API can read. */
export const encryptedPrefix = 'gAAAAAsim';

/** What a schema cannot say about the input: calls and outputs go together, encrypted reasoning is ours. */
export function checkInput(items: readonly InputItem[]): void {
  const open = new Set<string>();
  for (const entry of items) {
    if (isType(entry, 'function_call', 'custom_tool_call')) open.add(asText(entry.call_id));
    else if (isType(entry, 'function_call_output', 'custom_tool_call_output')) {
      if (!open.delete(asText(entry.call_id)))
        throw new ApiError(
          400,
          `No tool call found for function call output with call_id ${asText(entry.call_id)}.`,
          {
            param: 'input',
          },
        );
    } else if (isType(entry, 'reasoning') && typeof entry.encrypted_content === 'string') {
      if (!entry.encrypted_content.startsWith(encryptedPrefix))
        throw new ApiError(400, 'The encrypted content could not be verified.', {
          code: 'invalid_encrypted_content',
        });
    }
  }
  const [left] = open;
  if (left !== undefined)
    throw new ApiError(400, `No tool output found for function call ${left}.`, { param: 'input' });
}

function isType(entry: InputItem, ...types: readonly string[]): boolean {
  return types.includes(asText(entry.type));
}
