import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';

const jsonObject = z.record(z.string(), z.unknown());
const textPart = z.strictObject({ type: z.literal('text'), text: z.string().min(1) });
const thinkingPart = z.strictObject({ type: z.literal('thinking'), thinking: z.string() });
const imagePart = z.strictObject({
  type: z.literal('image_url'),
  image_url: z.looseObject({ url: z.string() }),
});

const toolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string().min(1), arguments: z.string() }),
});

const message = z.discriminatedUnion('role', [
  z.strictObject({ role: z.literal('system'), content: z.union([z.string(), z.array(textPart)]) }),
  z.strictObject({
    role: z.literal('user'),
    content: z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, imagePart])).min(1)]),
  }),
  z.strictObject({
    role: z.literal('assistant'),
    content: z
      .union([z.string(), z.array(z.discriminatedUnion('type', [textPart, thinkingPart]))])
      .optional(),
    tool_plan: z.string().optional(),
    tool_calls: z.array(toolCall).min(1).optional(),
  }),
  z.strictObject({
    role: z.literal('tool'),
    tool_call_id: z.string().min(1),
    content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]),
  }),
]);

const tool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string().min(1),
    description: z.string().optional(),
    parameters: jsonObject.optional(),
  }),
});

export const chatRequestSchema = z.strictObject({
  model: z.string().min(1),
  messages: z.array(message).min(1),
  stream: z.boolean().optional(),
  tools: z.array(tool).min(1).optional(),
  tool_choice: z.enum(['REQUIRED', 'NONE']).optional(),
  strict_tools: z.boolean().optional(),
  documents: z.array(z.unknown()).optional(),
  citation_options: jsonObject.optional(),
  response_format: z
    .strictObject({ type: z.enum(['text', 'json_object']), json_schema: jsonObject.optional() })
    .optional(),
  safety_mode: z.enum(['CONTEXTUAL', 'STRICT', 'OFF']).optional(),
  max_tokens: z.int().min(1).optional(),
  stop_sequences: z.array(z.string()).max(5).optional(),
  temperature: z.number().min(0).optional(),
  seed: z.int().min(0).optional(),
  frequency_penalty: z.number().min(0).max(1).optional(),
  presence_penalty: z.number().min(0).max(1).optional(),
  k: z.number().min(0).max(500).optional(),
  p: z.number().min(0.01).max(0.99).optional(),
  logprobs: z.boolean().optional(),
  thinking: z
    .strictObject({ type: z.enum(['enabled', 'disabled']), token_budget: z.int().min(1).optional() })
    .optional(),
  priority: z.int().optional(),
});

export type ChatRequest = z.output<typeof chatRequestSchema>;

/** @throws ApiError 400 or 422, in Cohere's words. */
export function parseChat(body: Buffer): ChatRequest {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, 'invalid request: the body is not valid JSON');
  }
  const result = chatRequestSchema.safeParse(value);
  if (result.success) return checkPairing(result.data);
  const [issue] = result.error.issues;
  throw new ApiError(422, `invalid request: ${issue?.path.join('.')}: ${issue?.message}`);
}

/** Every call is answered by a tool message right after it, and nothing else is. */
function checkPairing(body: ChatRequest): ChatRequest {
  let open = new Set<string>();
  for (const each of body.messages) {
    if (each.role === 'tool') {
      if (!open.delete(each.tool_call_id))
        throw new ApiError(400, 'invalid request: a tool message answers no call');
      continue;
    }
    if (open.size > 0) throw new ApiError(400, 'invalid request: a tool call has no tool message');
    open = new Set(each.role === 'assistant' ? (each.tool_calls ?? []).map(call => call.id) : []);
  }
  return body;
}
