import * as z from 'zod';
import { compileExpression } from './policy-expression.ts';

export const resourceKinds = ['model', 'server', 'tool', 'agent', 'workflow'] as const;
export type ResourceKind = (typeof resourceKinds)[number];

/** One rule about what the lists of a key cannot say. */
export const policySchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected small letters, digits and dashes')
    .describe('Names the rule in refusals, in the audit and in explanations.'),
  effect: z
    .enum(['allow', 'deny'])
    .describe(
      '`deny` refuses what its condition holds for. Where there are `allow` rules for a resource, one of them must hold.',
    ),
  kinds: z
    .array(z.enum(resourceKinds))
    .min(1)
    .default([...resourceKinds])
    .describe('Kinds of resources that it is about.'),
  names: z
    .array(z.string().min(1).max(256))
    .min(1)
    .default(['*'])
    .describe('Globs over the names of the resources that it is about; `!` excepts some.'),
  organisations: z
    .array(z.string().min(1).max(256))
    .min(1)
    .default(['*'])
    .describe('Globs over the organisations that it is about.'),
  when: z
    .string()
    .max(4000)
    .superRefine((source, context) => {
      const compiled = compileExpression(source);
      if (compiled.type === 'refused') context.addIssue({ code: 'custom', message: compiled.problem });
    })
    .describe('Condition in CEL over `principal`, `request`, `resource` and `envelope`.'),
});

export type PolicyConfig = z.output<typeof policySchema>;
