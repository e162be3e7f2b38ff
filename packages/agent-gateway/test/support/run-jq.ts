import { createRequire } from 'node:module';
import type { ExpressionScope } from '../../src/domain/expressions.ts';

interface Jq {
  raw(json: string, filter: string, flags: readonly string[]): string | undefined;
}

/** jq itself, in this thread: the judge of the fast path. */
export async function runJq(): Promise<(source: string, scope: ExpressionScope) => unknown> {
  const jq = (await createRequire(import.meta.url)('jq-web')) as Jq; // the package has no types
  return (source, { data, variables }) => {
    const program = `.v.input as $input | .v.context as $context | .d | ${source}`;
    try {
      const lines = (jq.raw(JSON.stringify({ d: data, v: variables }), program, ['-c']) ?? '').split('\n');
      return { value: JSON.parse(lines[0] ?? '') };
    } catch (error) {
      if ((error as { exitCode?: number }).exitCode === 5) return 'error'; // what the package puts there
      throw error;
    }
  };
}
