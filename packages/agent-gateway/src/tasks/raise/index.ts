import * as z from 'zod';
import { defineTask } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';
import { asText } from '../as-text.ts';
import { checkShape } from '../check-shape.ts';

const raiseSchema = z.strictObject({
  error: z.strictObject({
    type: z.string().min(1),
    status: z.int(),
    title: z.string().optional(),
    detail: z.string().optional(),
    instance: z.string().optional(),
  }),
});

/** `raise`: fails with the error that the definition describes. */
export const raiseTask = defineTask<{ readonly error: Template }, { readonly error: unknown }>({
  type: 'raise',
  keys: ['raise'],
  compile({ raise }, context) {
    const pointer = `${context.path}/raise`;
    const shape = checkShape(raiseSchema, { value: raise, pointer }, context);
    return { error: context.template(shape?.error ?? null, `${pointer}/error`) };
  },
  prepare: async ({ error }, scope) => ({ error: await scope.evaluate(error) }),
  plan({ node, arguments: { error } }) {
    const { type, status, title, detail, instance } = error as Record<string, unknown>; // the template of an object
    return {
      type: 'fail',
      error: {
        type: asText(type),
        status: typeof status === 'number' ? status : 500,
        title: asText(title),
        detail: asText(detail),
        instance: instance === undefined ? node.path : asText(instance),
        reason: 'raised',
      },
    };
  },
});
