import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';
import { isSignatureOf } from '../model/signature.ts';

const jsonObject = z.record(z.string(), z.unknown());
const source = z.looseObject({ bytes: z.string().optional(), s3Location: jsonObject.optional() });
const media = z.looseObject({ format: z.string(), source });
const cachePoint = z.looseObject({ type: z.literal('default'), ttl: z.enum(['5m', '1h']).optional() });

const resultContent = z.strictObject({
  text: z.string().optional(),
  json: z.unknown().optional(),
  image: media.optional(),
  document: media.optional(),
  video: media.optional(),
  searchResult: z.unknown().optional(),
});

const block = z.strictObject({
  text: z.string().optional(),
  image: media.optional(),
  document: media.extend({ name: z.string().regex(/^[A-Za-z0-9 ()[\]-]+$/) }).optional(),
  video: media.optional(),
  audio: media.optional(),
  toolUse: z
    .looseObject({
      toolUseId: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      name: z.string(),
      input: jsonObject,
    })
    .optional(),
  toolResult: z
    .looseObject({
      toolUseId: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      content: z.array(resultContent),
      status: z.enum(['success', 'error']).optional(),
    })
    .optional(),
  reasoningContent: z
    .looseObject({
      reasoningText: z.looseObject({ text: z.string(), signature: z.string().optional() }).optional(),
      redactedContent: z.string().optional(),
    })
    .optional(),
  cachePoint: cachePoint.optional(),
  guardContent: z.unknown().optional(),
  citationsContent: z.unknown().optional(),
  searchResult: z.unknown().optional(),
});

const tool = z.strictObject({
  toolSpec: z
    .looseObject({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      description: z.string().min(1).optional(),
      inputSchema: z.looseObject({ json: jsonObject }),
    })
    .optional(),
  cachePoint: cachePoint.optional(),
  systemTool: z.looseObject({ name: z.string() }).optional(),
});

/** Members that the service does not know are ignored, as AWS services do. */
export const converseRequestSchema = z.looseObject({
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'assistant']), content: z.array(block) }))
    .optional(),
  system: z
    .array(z.looseObject({ text: z.string().optional(), cachePoint: cachePoint.optional() }))
    .optional(),
  inferenceConfig: z
    .looseObject({
      maxTokens: z.int().min(1).optional(),
      temperature: z.number().min(0).max(1).optional(),
      topP: z.number().min(0).max(1).optional(),
      stopSequences: z.array(z.string().min(1)).max(2500).optional(),
    })
    .optional(),
  toolConfig: z
    .looseObject({
      tools: z.array(tool).min(1),
      toolChoice: z
        .strictObject({
          auto: jsonObject.optional(),
          any: jsonObject.optional(),
          tool: z.looseObject({ name: z.string() }).optional(),
        })
        .optional(),
    })
    .optional(),
  additionalModelRequestFields: jsonObject.optional(),
  outputConfig: z
    .looseObject({
      textFormat: z
        .looseObject({
          type: z.literal('json_schema'),
          structure: z.looseObject({ jsonSchema: z.looseObject({ schema: z.string() }) }),
        })
        .optional(),
    })
    .optional(),
});

export type ConverseRequest = z.output<typeof converseRequestSchema>;
export type ConverseMessage = NonNullable<ConverseRequest['messages']>[number];
export type ConverseBlock = ConverseMessage['content'][number];

export function parseConverse(body: Buffer): ConverseRequest {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, 'The request body is not valid JSON.', { code: 'SerializationException' });
  }
  const result = converseRequestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = issue?.path.join('.') ?? '';
  throw new ApiError(
    400,
    `1 validation error detected: Value at '${at}' failed to satisfy constraint: ${issue?.message ?? ''}`,
  );
}

const invalid = (message: string) => new ApiError(400, message);

/** What a schema cannot say: roles, blanks, pairing, tools that are defined, signatures. */
export function checkConverse(body: ConverseRequest): void {
  const messages = body.messages ?? [];
  if (messages.length === 0)
    throw invalid('A conversation must have at least one message. Try again with at least one message.');
  if (messages[0]?.role !== 'user')
    throw invalid(
      'A conversation must start with a user message. Try again with a conversation that starts with a user message.',
    );
  messages.forEach((message, index) => {
    if (index > 0 && message.role === messages[index - 1]?.role)
      throw invalid(
        'A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.',
      );
    checkBlocks(message, index);
  });
  const usesTools = messages.some(({ content }) => content.some(each => each.toolUse ?? each.toolResult));
  if (usesTools && !body.toolConfig)
    throw invalid('The toolConfig field must be defined when using toolUse and toolResult content blocks.');
  checkPairing(messages);
}

function checkBlocks({ content }: ConverseMessage, index: number): void {
  if (content.length === 0)
    throw invalid(
      `The content field in the Message object at messages.${index} is empty. Add a ContentBlock object to the content field and try again.`,
    );
  content.forEach((each, at) => {
    const place = `messages.${index}.content.${at}`;
    if (Object.keys(each).length !== 1)
      throw invalid(
        `The ContentBlock object at ${place} must set one of the following keys: text, image, toolUse, toolResult, document, video, cachePoint, reasoningContent.`,
      );
    if (each.text !== undefined && each.text.trim() === '')
      throw invalid(
        `The text field in the ContentBlock object at ${place} is blank. Add text to the text field, and try again.`,
      );
    const reasoning = each.reasoningContent?.reasoningText;
    if (reasoning && !isSignatureOf(reasoning.signature ?? '', reasoning.text))
      throw invalid(
        `The model returned the following errors: ${place}: Invalid \`signature\` in \`thinking\` block`,
      );
  });
}

function checkPairing(messages: readonly ConverseMessage[]): void {
  let open: readonly string[] = [];
  messages.forEach(({ content }, index) => {
    const answered = content.flatMap(each => (each.toolResult ? [each.toolResult.toolUseId] : []));
    if (answered.length > open.length)
      throw invalid(
        `The number of toolResult blocks at messages.${index}.content exceeds the number of toolUse blocks of previous turn.`,
      );
    const missing = open.filter(id => !answered.includes(id));
    if (missing.length > 0)
      throw invalid(
        `Expected toolResult blocks at messages.${index}.content for the following Ids: ${missing.join(', ')}`,
      );
    open = content.flatMap(each => (each.toolUse ? [each.toolUse.toolUseId] : []));
  });
}
