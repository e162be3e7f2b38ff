import { InvalidArgumentError } from 'commander';

/** A schema as this package sees it. */
interface Schema<Value> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: Value } | { readonly success: false; readonly error: Issues };
}

interface Issues {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}

/** Options in the words of a schema, checked by it. @throws InvalidArgumentError naming every option that is wrong. */
export function parseWritten<Value>(schema: Schema<Value>, options: unknown): Value {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  throw new InvalidArgumentError(wrong.join('\n'));
}
