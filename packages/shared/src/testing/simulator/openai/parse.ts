import type * as z from 'zod';
import { ApiError, type Desk, type ModelEntry } from '../http/protocol.ts';

/** Reads a JSON body against a schema; what is wrong is said in OpenAI's words. */
export function parseBody<T>(body: Buffer, schema: z.ZodType<T>): T {
  const value = parseJsonObject(body);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw explain(result.error.issues[0], value);
}

function parseJsonObject(body: Buffer): unknown {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new ApiError(
      400,
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
    );
  }
  return value;
}

function explain(issue: z.core.$ZodIssue | undefined, body: unknown): ApiError {
  if (!issue) return new ApiError(400, 'Invalid body.');
  const param = pathOf(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const unknown = pathOf([...issue.path, issue.keys[0] ?? '']);
    return new ApiError(400, `Unknown parameter: '${unknown}'.`, {
      param: unknown,
      code: 'unknown_parameter',
    });
  }
  const given = valueAt(body, issue.path);
  if (given === undefined && issue.path.length > 0)
    return new ApiError(400, `Missing required parameter: '${param}'.`, {
      param,
      code: 'missing_required_parameter',
    });
  if (issue.code === 'invalid_type')
    return new ApiError(
      400,
      `Invalid type for '${param}': expected ${withArticle(issue.expected)}, but got ${withArticle(typeName(given))} instead.`,
      { param, code: 'invalid_type' },
    );
  if (issue.code === 'too_small' || issue.code === 'too_big')
    return new ApiError(400, `Invalid '${param}': ${issue.message}.`, { param, code: 'invalid_value' });
  return new ApiError(400, `Invalid value for '${param}': ${issue.message}.`, {
    param,
    code: 'invalid_value',
  });
}

/** `messages[0].content`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) =>
      typeof step === 'number' ? `${text}[${step}]` : text === '' ? String(step) : `${text}.${String(step)}`,
    '',
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const step of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined;
  return at;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function withArticle(type: string): string {
  if (type === 'null') return 'null';
  const word = type === 'int' ? 'integer' : type;
  return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
}

/** @throws ApiError 404 `model_not_found`. */
export function modelOf(name: string, desk: Desk, kind: ModelEntry['kind']): ModelEntry {
  const model = desk.model(name);
  if (model?.kind === kind) return model;
  throw new ApiError(404, `The model \`${name}\` does not exist or you do not have access to it.`, {
    code: 'model_not_found',
  });
}
