import { createRequire } from 'node:module';
import type { ExpressionScope } from '../../src/domain/expressions.ts';

interface Jq {
  raw(json: string, filter: string, flags: readonly string[]): string | undefined;
}

/** jq itself, in this thread: the judge of the fast path. Gives one answer for each scope, all in one run of jq. */
export async function runJq(): Promise<(source: string, scopes: readonly ExpressionScope[]) => unknown[]> {
  const jq = (await createRequire(import.meta.url)('jq-web')) as Jq; // the package has no types
  return (source, scopes) => {
    const program = `.v.input as $input | .v.context as $context | .d | try {value: (${source})} catch "error"`;
    const input = scopes.map(({ data, variables }) => JSON.stringify({ d: data, v: variables })).join('\n');
    const lines = (jq.raw(input, program, ['-c']) ?? '').trim().split('\n');
    return lines.map(line => JSON.parse(line) as unknown);
  };
}
