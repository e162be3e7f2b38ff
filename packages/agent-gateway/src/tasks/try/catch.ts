import * as z from 'zod';
import type { RunError } from '../../domain/run-error.ts';
import type { CompileContext } from '../../domain/task-type.ts';
import type { Next, Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';
import { variableName } from '../variable-name.ts';
import { compileRetry, type RetryOptions, retrySchema } from './retry.ts';

const catchSchema = z.strictObject({
  errors: z
    .strictObject({
      with: z
        .strictObject({
          type: z.string().optional(),
          status: z.int().optional(),
          instance: z.string().optional(),
          title: z.string().optional(),
          detail: z.string().optional(),
          details: z.string().optional(),
        })
        .optional(),
    })
    .optional(),
  as: variableName.default('error'),
  when: z.string().optional(),
  exceptWhen: z.string().optional(),
  retry: retrySchema.optional(),
  do: z.unknown().optional(),
});

export interface CatchOptions {
  matches(error: RunError): boolean;
  readonly as: string;
  readonly when: readonly Template[];
  readonly unless: readonly Template[];
  readonly retry: RetryOptions | undefined;
  readonly list: Next;
}

export function compileCatch(value: unknown, context: CompileContext): CatchOptions | undefined {
  const pointer = `${context.path}/catch`;
  const shape = checkShape(catchSchema, { value, pointer }, context);
  if (shape === undefined) return undefined;
  const { as } = shape;
  const condition = (text: string | undefined, key: string) =>
    text === undefined ? [] : [context.expression(text, `${pointer}/${key}`, [as])];
  const { details, ...wanted } = shape.errors?.with ?? {};
  const filter = Object.entries({ ...wanted, detail: wanted.detail ?? details });
  return {
    matches: error =>
      filter.every(([key, expected]) => expected === undefined || error[key as keyof RunError] === expected),
    as,
    when: condition(shape.when, 'when'),
    unless: condition(shape.exceptWhen, 'exceptWhen'),
    retry: shape.retry && compileRetry(shape.retry, { pointer: `${pointer}/retry`, as, context }),
    list: shape.do === undefined ? null : context.list(shape.do, `${pointer}/do`, [as]),
  };
}
