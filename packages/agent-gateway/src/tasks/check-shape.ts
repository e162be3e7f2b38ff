import type * as z from 'zod';
import type { CompileContext } from '../domain/task-type.ts';

/** Parses a part of a definition; what is wrong becomes a mistake at its own place, all at once. */
export function checkShape<Schema extends z.ZodType>(
  schema: Schema,
  { value, pointer }: { value: unknown; pointer: string },
  context: Pick<CompileContext, 'mistake'>,
): z.output<Schema> | undefined {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) report(issue, { value, pointer }, context);
  return undefined;
}

function report(
  issue: z.core.$ZodIssue,
  { value, pointer }: { value: unknown; pointer: string },
  context: Pick<CompileContext, 'mistake'>,
): void {
  const at = pointer + issue.path.map(part => `/${escapePointer(String(part))}`).join('');
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys)
      context.mistake(`${at}/${escapePointer(key)}`, `'${key}' is not known here.`);
    return;
  }
  const isMissing = issue.code === 'invalid_type' && memberAt(value, issue.path) === undefined;
  context.mistake(at, isMissing ? 'It is missing.' : `${issue.message}.`);
}

function memberAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(
    (around, part) => (typeof around === 'object' && around !== null ? Reflect.get(around, part) : undefined),
    value,
  );
}

/** RFC 6901 section 3. */
export function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}
