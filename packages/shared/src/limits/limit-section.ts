import * as z from 'zod';
import { parseSubject, subjectKinds } from '../money/subject.ts';
import { type Limit, limitUnits } from './limit.ts';

/** In milliseconds. */
export const limitWindows = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** A limit as it is written. */
export const writtenLimit = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits and `. _ -`')
    .describe('Names the limit in headers and errors; unique in this list.'),
  tenant: z.string().min(1).max(200).default('default').describe('The organisation.'),
  subject: z
    .string()
    .refine(text => parseSubject(text) !== undefined, "expected a subject such as 'key:*'")
    .describe(
      `What is limited: one of ${subjectKinds.map(kind => `\`${kind}:\``).join(' ')} and an id, in which \`*\` stands for any characters.`,
    ),
  each: z
    .boolean()
    .default(true)
    .describe('With `*`: every id that fits has the limit for itself. `false`: all of them share it.'),
  unit: z.enum(limitUnits).describe('What is counted. `concurrency` is how many at a time.'),
  amount: z.int().min(1).max(1_000_000_000_000).describe('How many in the window.'),
  per: z
    .enum(['second', 'minute', 'hour', 'day'])
    .default('minute')
    .describe('The window. A full bucket holds one window, and fills evenly. Not used by `concurrency`.'),
});

/** The section `limits` of the configuration. */
export const limitsSection = z
  .array(writtenLimit)
  .max(1000)
  .default([])
  .superRefine((list, context) => {
    const names = new Set<string>();
    for (const [index, { name }] of list.entries()) {
      if (names.has(name))
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'another limit has this name' });
      names.add(name);
    }
  })
  .describe(
    'How much may be asked in a time, and at a time. Shared by replicas through Redis, else counted by each process. Those of the admin API hold beside them. At start.',
  );

export type LimitsSection = z.output<typeof limitsSection>;

export function toLimits(section: LimitsSection): Limit[] {
  return section.map(written => toLimit(`config:${written.name}`, written));
}

export function toLimit(id: string, written: LimitsSection[number]): Limit {
  const { name, tenant, subject: text, each, unit, amount, per } = written;
  const subject = parseSubject(text);
  if (subject === undefined) throw new TypeError('The schema of limits lets this not pass');
  const isEach = each && subject.id.includes('*');
  return { id, name, tenant, subject, isEach, unit, amount, windowMs: limitWindows[per] };
}
