import type * as z from 'zod';
import { ApiError } from '../http/protocol.ts';

/** Reads a JSON body against a schema; what is wrong is said in Anthropic's words (`messages.0.role: …`). */
export function parseBody<T>(body: Buffer, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, 'The request body is not valid JSON');
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ApiError(400, issue ? explain(issue, value) : 'Invalid body');
}

function explain(issue: z.core.$ZodIssue, body: unknown): string {
  if (issue.code === 'unrecognized_keys')
    return `${[...issue.path, issue.keys[0]].join('.')}: Extra inputs are not permitted`;
  const path = issue.path.join('.');
  if (valueAt(body, issue.path) === undefined && issue.path.length > 0) return `${path}: Field required`;
  if (issue.code === 'invalid_type')
    return `${path}: Input should be ${names[issue.expected] ?? issue.expected}`;
  if (issue.code === 'invalid_value')
    return `${path}: Input should be ${issue.values.map(value => `'${String(value)}'`).join(' or ')}`;
  return `${path}: ${issue.message}`;
}

const names: Readonly<Record<string, string>> = {
  string: 'a valid string',
  array: 'a valid list',
  object: 'a valid dictionary',
  record: 'a valid dictionary',
  int: 'a valid integer',
  number: 'a valid number',
  boolean: 'a valid boolean',
};

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const step of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined;
  return at;
}
