import * as z from 'zod';
import {
  compileModelOptions,
  type ModelOptions,
  modelShape,
  openingOf,
  type PreparedQuestion,
  prepareQuestion,
} from '../../agents/model-options.ts';
import { planConversation } from '../../agents/plan-conversation.ts';
import { maxRepairs } from '../../agents/structured-output.ts';
import { defineTask } from '../../domain/task-type.ts';
import { checkShape } from '../check-shape.ts';

const withSchema = z.strictObject(modelShape);

/** `call: llm`: one question to a model. Without a schema its output is the answer with its circumstances, with one the data. */
export const callLlmTask = defineTask<ModelOptions | undefined, PreparedQuestion>({
  type: 'call:llm',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const given = checkShape(withSchema, { value: definition.with, pointer }, context);
    return given && compileModelOptions(given, { context, pointer });
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    return prepareQuestion(options, scope);
  },
  plan({ node, options, arguments: question, calls }) {
    if (options === undefined) throw new Error('The task was not compiled');
    return planConversation({
      ...options,
      node,
      calls,
      actor: node.name,
      model: question.model,
      opening: openingOf(question),
      tools: [],
      maxTurns: 1 + maxRepairs,
    });
  },
});
