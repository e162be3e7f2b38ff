import * as z from 'zod';
import { variableNames } from '../domain/expressions.ts';

/** What jq itself gives a meaning. */
const takenByJq = ['ENV', '__loc__'];
const taken = new Set<string>([...variableNames, ...takenByJq]);

/** A name under which expressions see a value that a list gives: one that jq takes and that hides no other. */
export const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'Expected a name: a letter, then letters, digits and underscores')
  .refine(name => !taken.has(name) && !name.startsWith('strata'), {
    error: ({ input }) => `'${String(input)}' is the name of something else that expressions see`,
  });
