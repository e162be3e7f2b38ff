import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseAst } from 'vitest/node';

/** No secret is compared by an operator that stops at the first difference: an attacker could measure how far a guess was right. */

const packages = join(resolve(import.meta.dirname, '..'), 'packages');

/** Words that name something whose value proves who somebody is. */
const secretWords = new Set([
  'secret',
  'token',
  'signature',
  'sig',
  'mac',
  'hmac',
  'pepper',
  'password',
  'digest',
]);

/** Comparisons of things that are no secret: whoever sends one side knows or may know the other. */
const allowed: Readonly<Record<string, string>> = {
  'agent-gateway/src/dsl/definitions.ts: digestOf(document) !== hash':
    'digest of a definition, without a key',
  'agent-gateway/src/journal/record-rows.ts: digestOf(body) !== hash': 'digest of what is stored beside it',
  'agent-gateway/src/pipeline/decide-approval.ts: verdict.digest !== approval.digest':
    'digest of what is shown to whoever approves',
  'agent-gateway/src/pipeline/import-run.ts: digestOfExport(bundle) !== bundle.digest':
    'digest of an export, without a key: it tells damage, not forgery',
  'agent-gateway/src/pipeline/import-run.ts: result.run.requestDigest !== bundle.digest':
    'digest of an export, without a key',
  'agent-gateway/src/pipeline/submit-run.ts: result.run.requestDigest !== digest':
    'digest of a request, without a key',
  'mcp-gateway/src/pipeline/reverse-requests.ts: waiting.progressToken !== token':
    'a name of the protocol, known to both',
  'mcp-gateway/src/pipeline/catalog-view.ts: digestOf(left) === digestOf(right)': 'digests of lists',
  'mcp-gateway/src/upstreams/shown-credentials.ts: password !== scheme':
    'both stand in one address of the configuration',
  'mcp-gateway/src/upstreams/shown-credentials.ts: password !== user':
    'both stand in one address of the configuration',
  'mcp-gateway/src/upstreams/stdio/pinned-files.ts: (await digestOf(path)) !== expected': 'digest of a file',
  'shared/src/admin/idempotency.ts: found.digest !== request.digest': 'digest of a request, without a key',
  'shared/src/audit/checkpoints.ts: typ !== tokenType': 'the type of a token',
  'shared/src/identity/key-store.ts: row.digest === digest':
    'both were found by this very digest, which is keyed: nobody can steer its bytes',
};

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [member: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const each of Array.isArray(value) ? value : [value]) if (isNode(each)) yield* nodesOf(each);
  }
}

/** The name by which a value is reached last: `c` of `a.b.c`, `f` of `a.f(x)`. */
function lastName(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier') return node.name as string;
  if (node.type === 'MemberExpression') return lastName(node.property);
  if (node.type === 'CallExpression') return lastName(node.callee);
  if (node.type === 'AwaitExpression' || node.type === 'ChainExpression')
    return lastName(node.argument ?? node.expression);
  return undefined;
}

function namesSecret(node: unknown): boolean {
  const words = (lastName(node) ?? '').split(/(?=[A-Z])|_|\d+/).map(word => word.toLowerCase());
  return words.some(word => secretWords.has(word));
}

/** What is compared with a fixed word, with nothing, or by its type tells nothing of its value. */
function isFixed(node: unknown): boolean {
  if (!isNode(node)) return true;
  if (node.type === 'Identifier') return node.name === 'undefined';
  return ['Literal', 'TemplateLiteral', 'UnaryExpression'].includes(node.type);
}

function comparisonsOf(source: string): string[] {
  const found: string[] = [];
  for (const node of nodesOf(parseAst(source, { lang: 'ts' }) as unknown as Node)) {
    if (node.type !== 'BinaryExpression' || !/^[!=]==?$/.test(String(node.operator))) continue;
    const sides = [node.left, node.right];
    if (sides.some(isFixed) || !sides.some(namesSecret)) continue;
    found.push(source.slice(node.start, node.end));
  }
  return found;
}

test('[S2] the check sees comparisons of secrets and no others', () => {
  expect(
    comparisonsOf(`
      if (given.token === stored.token) a();
      while (signatureOf(x) != expected) b();
      const same = key_digest !== other;
      if (kind === 'token' || token === undefined || typeof secret === 'string' || maxTokens === count) c();
    `),
  ).toEqual(['given.token === stored.token', 'signatureOf(x) != expected', 'key_digest !== other']);
});

test('[S2] no source compares a secret by an operator', () => {
  const found = readdirSync(packages, { recursive: true, encoding: 'utf8' })
    .filter(name => /^[\w-]+\/src\/.*\.ts$/.test(name) && !name.endsWith('.test.ts'))
    .filter(name => !name.includes('/testing/'))
    .flatMap(name =>
      comparisonsOf(readFileSync(join(packages, name), 'utf8')).map(comparison => `${name}: ${comparison}`),
    );
  expect(found.sort()).toEqual(Object.keys(allowed).sort());
});
