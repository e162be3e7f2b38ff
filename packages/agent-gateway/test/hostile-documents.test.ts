import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readYaml } from '../src/dsl/source.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** Whatever comes in the place of a document: it is taken, or refused with what is wrong and where. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const yamlLike = fc
  .array(
    fc.constantFrom(
      'a: ',
      '- ',
      '&x ',
      '*x',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|',
      '>',
      '#',
      '!!',
      '? ',
      '<<: ',
    ),
  )
  .map(parts => parts.join(''));

test.each([
  [
    'anchors that multiply',
    `a: &a [x, x]\n${'bcdefghij'
      .split('')
      .map((name, index) => `${name}: &${name} [${`*${'abcdefghij'[index]}, `.repeat(9)}]`)
      .join('\n')}\n`,
  ],
  ['deep nesting', `a: ${'['.repeat(500)}${']'.repeat(500)}`],
  ['a key that reaches prototypes', '__proto__: { x: 1 }'],
  ['a tab where none may be', 'a:\n\t- b'],
  ['a key twice', 'a: 1\na: 2'],
  ['a tag of another world', 'a: !!js/function "x"'],
  ['two documents', 'a: 1\n---\nb: 2'],
  ['bytes', 'a: !!binary aGVsbG8='],
  ['a set', 'a: !!set { x, y }'],
  ['an ordered map', 'a: !!omap [x: 1]'],
  ['a number without an end', 'a: -.inf'],
  ['no number', 'a: .nan'],
  ['a key that is a list', '? [1, 2]\n: d'],
  ['a key that is nothing', '~: x'],
  ['a merge with what is no map', 'a: { <<: 5 }'],
  ['nothing', ''],
])('%s', async (_name, yaml) => {
  const { status, body } = await gateway.call('PUT', '/v1/workflows/test/flow/1.0.0', { body: yaml });
  expect(status, JSON.stringify(body)).toBe(400);
  expect(body.reason).toMatch(/^(yaml_syntax|json_|definition_invalid)/);
});

test('what YAML can say and JSON cannot is named with its line', () => {
  const refusal = (yaml: string) => {
    try {
      return readYaml(yaml).value;
    } catch (error) {
      return (error as GatewayError).message;
    }
  };
  expect(refusal('a: 1\nb: .inf')).toBe(
    'The document is not valid YAML (line 2): Infinity is no number that JSON has',
  );
  expect(refusal('a: 1\nb:\n  ? [1]\n  : 2')).toBe(
    'The document is not valid YAML (line 3): a key has to be a text',
  );
  expect(refusal('a: !!binary eA==')).toMatch(/line 1\): Unresolved tag/);
  expect(refusal('a: 1\n---\nb: 2')).toMatch(/line 2\): there are several documents/);
});

test('merge keys give what they name, and what stands beside them comes first', () => {
  const source = readYaml(
    'x: &x { a: 1, b: [2] }\ny: &y { c: 3 }\none: { <<: *x, b: 9 }\nboth:\n  <<: [*x, *y]\nplain: { "<<": 1 }',
  );
  expect(source.value).toMatchObject({
    one: { a: 1, b: 9 },
    both: { a: 1, b: [2], c: 3 },
    plain: { '<<': 1 },
  });
  expect([source.lineOf('/one/a'), source.lineOf('/both/c')]).toEqual([3, 5]);
});

test('any bytes are either a document or a clear refusal', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json(), yamlLike), text => {
      try {
        const source = readYaml(text);
        JSON.stringify(source.value);
        source.lineOf('/do/0/x');
      } catch (error) {
        expect(error).toBeInstanceOf(GatewayError);
      }
    }),
    { numRuns: 3000 },
  );
});

test('any value in the place of any part is either taken or explained, never a crash', async () => {
  const parts = [
    'document',
    'do',
    'input',
    'output',
    'timeout',
    'metadata',
    'set',
    'switch',
    'call',
    'with',
    'wait',
  ];
  const part = fc.constantFrom(...parts, 'if', 'then', 'export', 'a', 'when', 'model', 'method', 'endpoint');
  const value = fc.letrec(tie => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, 0, -1, '', '${ . }', '${', 'end', 'http', 'agent', 'PT1S', 'x/~y'),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(part, tie('any'), { maxKeys: 4 }),
    ),
  })).any;
  await fc.assert(
    fc.asyncProperty(fc.dictionary(part, value, { maxKeys: 4 }), value, async (members, tasks) => {
      const definition = { ...definitionOf(tasks), ...members };
      const { status, body } = await gateway.call('POST', '/v1/runs', { body: { definition } });
      expect([202, 400], JSON.stringify(body)).toContain(status);
    }),
    { numRuns: 250 },
  );
});
