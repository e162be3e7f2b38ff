import * as z from 'zod';
import type { CompileContext, TaskScope } from '../domain/task-type.ts';
import type { Template } from '../domain/workflow.ts';
import type { ChatMessage } from './chat-message.ts';
import type { ModelCall } from './model-call.ts';

/** What every task that asks a model may say. */
export const modelShape = {
  model: z.string().min(1),
  instructions: z.string().optional(),
  /** What is asked: a text, or a value that is handed over as JSON. Without it, the task's input. */
  input: z.unknown().optional(),
  /** JSON Schema: the answer is data of this form, mended by the model when it is not, and is the task's output. */
  outputSchema: z.record(z.string(), z.unknown()).optional(),
  temperature: z.number().min(0).max(2).optional(),
  maxTokens: z.number().int().min(1).optional(),
  /** Longest conversation, in tokens as estimated here. What is longer is shortened from its beginning. */
  maxContextTokens: z.number().int().min(1000).max(10_000_000).default(100_000),
};

export interface ModelOptions {
  readonly model: Template;
  readonly instructions: Template | undefined;
  readonly input: Template | undefined;
  readonly outputSchema: unknown;
  readonly maxContextTokens: number;
  readonly sampling: ModelCall['sampling'];
}

export interface PreparedQuestion {
  readonly model: string;
  readonly instructions: string | null;
  readonly prompt: string;
}

const shape = z.object(modelShape);

export function compileModelOptions(
  { temperature, maxTokens, ...given }: z.output<typeof shape>,
  { context, pointer }: { context: CompileContext; pointer: string },
): ModelOptions {
  const part = (value: unknown, name: string) =>
    value === undefined ? undefined : context.template(value, `${pointer}/${name}`);
  if (given.outputSchema !== undefined) context.schema(given.outputSchema, `${pointer}/outputSchema`);
  return {
    model: context.template(given.model, `${pointer}/model`),
    instructions: part(given.instructions, 'instructions'),
    input: part(given.input, 'input'),
    outputSchema: given.outputSchema,
    maxContextTokens: given.maxContextTokens,
    sampling: {
      ...(temperature !== undefined && { temperature }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    },
  };
}

export async function prepareQuestion(options: ModelOptions, scope: TaskScope): Promise<PreparedQuestion> {
  const { model, instructions, input } = options;
  return {
    model: asText(await scope.evaluate(model)),
    instructions: instructions === undefined ? null : asText(await scope.evaluate(instructions)),
    prompt: asText(input === undefined ? scope.input : await scope.evaluate(input)),
  };
}

export function openingOf({ instructions, prompt }: PreparedQuestion): ChatMessage[] {
  const user: ChatMessage = { role: 'user', content: prompt };
  return instructions === null ? [user] : [{ role: 'system', content: instructions }, user];
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value ?? null);
}
