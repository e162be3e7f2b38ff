import * as z from 'zod';
import { ApiError } from '../http/protocol.ts';
import { isObject } from '../model/schema-instance.ts';
import { isSignature } from '../model/signature.ts';

const jsonObject = z.record(z.string(), z.unknown());

const part = z.strictObject({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  thoughtSignature: z.string().optional(),
  inlineData: z.looseObject({ mimeType: z.string(), data: z.string() }).optional(),
  fileData: z.looseObject({ fileUri: z.string() }).optional(),
  functionCall: z
    .strictObject({ id: z.string().optional(), name: z.string(), args: jsonObject.optional() })
    .optional(),
  functionResponse: z
    .looseObject({ id: z.string().optional(), name: z.string().min(1), response: jsonObject })
    .optional(),
  executableCode: z.unknown().optional(),
  codeExecutionResult: z.unknown().optional(),
  videoMetadata: z.unknown().optional(),
  mediaResolution: z.unknown().optional(),
  partMetadata: z.unknown().optional(),
});

const content = z.strictObject({ role: z.string().optional(), parts: z.array(part).min(1) });

const functionDeclaration = z.looseObject({
  name: z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$/, 'Invalid function name'),
  description: z.string().optional(),
  parameters: jsonObject.optional(),
  parametersJsonSchema: jsonObject.optional(),
});

const thinkingConfig = z.strictObject({
  includeThoughts: z.boolean().optional(),
  thinkingBudget: z.int().min(-1).optional(),
  thinkingLevel: z.string().optional(),
});

const generationConfig = z.strictObject({
  candidateCount: z.int().min(1).max(8).optional(),
  maxOutputTokens: z.int().min(1).optional(),
  stopSequences: z.array(z.string()).max(5).optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: z.number().min(0).optional(),
  seed: z.int().optional(),
  presencePenalty: z.number().optional(),
  frequencyPenalty: z.number().optional(),
  responseLogprobs: z.boolean().optional(),
  logprobs: z.int().optional(),
  responseMimeType: z.string().optional(),
  responseSchema: jsonObject.optional(),
  responseJsonSchema: jsonObject.optional(),
  responseModalities: z.array(z.string()).optional(),
  speechConfig: z.unknown().optional(),
  mediaResolution: z.unknown().optional(),
  imageConfig: z.unknown().optional(),
  audioTimestamp: z.boolean().optional(),
  thinkingConfig: thinkingConfig.optional(),
});

export const generateRequestSchema = z.strictObject({
  model: z.string().optional(),
  contents: z.array(content).min(1, 'contents is not specified'),
  systemInstruction: z.strictObject({ role: z.string().optional(), parts: z.array(part) }).optional(),
  tools: z.array(z.looseObject({ functionDeclarations: z.array(functionDeclaration).optional() })).optional(),
  toolConfig: z
    .looseObject({
      functionCallingConfig: z
        .strictObject({
          mode: z.enum(['MODE_UNSPECIFIED', 'AUTO', 'ANY', 'NONE', 'VALIDATED']).optional(),
          allowedFunctionNames: z.array(z.string()).optional(),
          streamFunctionCallArguments: z.boolean().optional(),
        })
        .optional(),
    })
    .optional(),
  generationConfig: generationConfig.optional(),
  safetySettings: z.array(z.looseObject({ category: z.string(), threshold: z.string() })).optional(),
  cachedContent: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  serviceTier: z.string().optional(),
  store: z.boolean().optional(),
});

export const countRequestSchema = z.strictObject({
  model: z.string().optional(),
  contents: z.array(content).min(1).optional(),
  systemInstruction: generateRequestSchema.shape.systemInstruction,
  tools: generateRequestSchema.shape.tools,
  generateContentRequest: generateRequestSchema.optional(),
});

export type GenerateRequest = z.output<typeof generateRequestSchema>;
export type Part = z.output<typeof part>;

/** Reads a JSON body; what is wrong is said in Google's words. Names may be in snake_case too. */
export function parseBody<T>(body: Buffer, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw new ApiError(400, `Invalid JSON payload received. ${(error as Error).message}`);
  }
  const result = schema.safeParse(camelCased(value));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw issue ? explain(issue) : new ApiError(400, 'Invalid JSON payload received.');
}

function explain(issue: z.core.$ZodIssue): ApiError {
  const path = issue.path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : `${text}${text && '.'}${String(step)}`),
    '',
  );
  if (issue.code === 'unrecognized_keys') {
    const at = path === '' ? '' : ` at '${path}'`;
    const message = `Invalid JSON payload received. Unknown name "${issue.keys[0]}"${at}: Cannot find field.`;
    return new ApiError(400, message, { param: path });
  }
  if (path === 'contents')
    return new ApiError(400, '* GenerateContentRequest.contents: contents is not specified\n');
  return new ApiError(400, `Invalid value at '${path}': ${issue.message}`, { param: path });
}

/** The values below these names are the caller's own. */
const opaque = new Set([
  'args',
  'response',
  'parameters',
  'parametersJsonSchema',
  'responseSchema',
  'responseJsonSchema',
  'labels',
]);

function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const name = key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
      return [name, opaque.has(name) ? inner : camelCased(inner)];
    }),
  );
}

/** What stands for a signature where there is none, as Google documents it for history from elsewhere. */
const skippedSignatures = new Set([
  'skip_thought_signature_validator',
  'context_engineering_is_the_way_to_go',
]);

/** What a schema cannot say: roles, pairing of calls and responses, signatures, schemas that need a MIME type. */
export function checkGenerateRequest(body: GenerateRequest, needsSignatures: boolean): void {
  for (const { role } of body.contents)
    if (role !== undefined && role !== 'user' && role !== 'model' && role !== 'function')
      throw new ApiError(400, 'Please use a valid role: user, model.');
  const config = body.generationConfig;
  if (
    (config?.responseSchema || config?.responseJsonSchema) &&
    config.responseMimeType !== 'application/json'
  )
    throw new ApiError(400, 'Setting a response schema needs the response MIME type application/json.');
  if (body.cachedContent !== undefined)
    throw new ApiError(403, 'CachedContent not found (or permission denied)');
  if ((config?.candidateCount ?? 1) > 1)
    throw new ApiError(400, 'Multiple candidates is not enabled for this model');
  checkPairing(body.contents);
  if (needsSignatures) checkSignatures(body.contents);
}

function checkPairing(contents: GenerateRequest['contents']): void {
  let open = 0;
  for (const { parts, role } of contents) {
    const responses = parts.filter(each => each.functionResponse).length;
    if (responses !== open)
      throw new ApiError(
        400,
        'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.',
      );
    open = role === 'model' ? parts.filter(each => each.functionCall).length : 0;
  }
}

/** Calls since the last words of the user; what is older is history. */
function checkSignatures(contents: GenerateRequest['contents']): void {
  const start = contents.findLastIndex(each => each.role !== 'model' && each.parts.some(part => part.text));
  for (const { parts } of contents.slice(start + 1)) {
    const first = parts.find(part => part.functionCall);
    if (!first) continue;
    const signature = first.thoughtSignature ?? '';
    if (skippedSignatures.has(signature)) continue;
    if (signature === '')
      throw new ApiError(
        400,
        `Function call \`${first.functionCall?.name}\` is missing a thought_signature in functionCall parts. This is required for tools to work correctly.`,
      );
    if (!isSignature(Buffer.from(signature, 'base64').toString()))
      throw new ApiError(400, 'Thought signature is not valid.');
  }
}
