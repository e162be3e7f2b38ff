import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { Secret } from '../secret.ts';
import { loadConfig } from './load.ts';
import { ConfigError } from './problem.ts';
import { secretString } from './secret-string.ts';

const provider = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('openai'), api_key: secretString() }),
  z.strictObject({
    type: z.literal('anthropic'),
    api_key: secretString(),
    region: z.enum(['eu', 'us']).default('us'),
  }),
]);
const schema = z.strictObject({
  data_dir: z.string().default('./.strata'),
  ai_gateway: z
    .strictObject({
      listen: z
        .strictObject({
          host: z.string().default('127.0.0.1'),
          port: z.number().int().min(0).max(65535).default(4100),
        })
        .prefault({}),
      providers: z.record(z.string(), provider).default({}),
      models: z
        .record(z.string(), z.strictObject({ targets: z.array(z.strictObject({ provider: z.string() })) }))
        .default({}),
    })
    .prefault({}),
});

const load = (text: string, env: Record<string, string> = {}, files: Record<string, string> = {}) =>
  loadConfig(
    schema,
    { source: 'strata.yaml', text },
    {
      env,
      readFile: path => {
        const found = files[path];
        if (found === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
        return found;
      },
    },
  );

function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.message
        .split('\n')
        .slice(1)
        .map(line => line.trim());
    throw error;
  }
  return [];
}

test('an empty file is a whole configuration', () => {
  expect(load('').ai_gateway.listen).toEqual({ host: '127.0.0.1', port: 4100 });
});

test('every mistake is reported at once: where, what was found, what was expected, what was meant', () => {
  const text = `
ai_gateway:
  listen:
    prot: 4100
    port: "abc"
  providers:
    main: { type: openia, api_key: x }
    other: { type: anthropic, api_key: "\${env:MISSING_KEY}", region: eus }
  models:
    gpt: { targets: { provider: main } }
data_dri: /x
`;
  expect(problemsOf(text)).toEqual([
    'ai_gateway.providers.other.api_key (line 8): ${env:MISSING_KEY} is not set in the environment',
    'ai_gateway.listen.port (line 5): found "abc" (string), expected number',
    "ai_gateway.listen.prot (line 4): unknown key; did you mean 'port'?",
    "ai_gateway.providers.main.type (line 7): found \"openia\" (string), expected one of 'openai', 'anthropic'; did you mean 'openai'?",
    "ai_gateway.providers.other.region (line 8): found \"eus\" (string), expected one of 'eu', 'us'; did you mean 'eu'?",
    'ai_gateway.models.gpt.targets (line 10): found a map, expected list',
    "data_dri (line 11): unknown key; did you mean 'data_dir'?",
  ]);
});

test('secrets come from the environment and from files, and are never shown', () => {
  const text =
    'ai_gateway: { providers: { a: { type: openai, api_key: "${env:KEY}" }, b: { type: openai, api_key: "${file:/run/secrets/b}" } } }';
  const config = load(text, { KEY: 'canary-1' }, { '/run/secrets/b': 'canary-2\n' });
  const key = config.ai_gateway.providers.a?.api_key;
  expect(key).toBeInstanceOf(Secret);
  expect(key?.reveal()).toBe('canary-1');
  expect(config.ai_gateway.providers.b?.api_key.reveal()).toBe('canary-2');
  expect(JSON.stringify(config)).not.toContain('canary');
  expect(
    problemsOf('ai_gateway: { providers: { a: { type: openai, api_key: { canary: 1 } } } }')[0],
  ).toContain('found a map, expected string');
  expect(
    problemsOf('ai_gateway: { providers: { a: { type: openai, api_key: "${file:/nowhere}" } } }')[0],
  ).toContain('ENOENT');
});

test('every value can come from a STRATA_ variable, whole maps too; names in maps keep their spelling', () => {
  const text = 'ai_gateway: { providers: { my-main: { type: openai, api_key: x } } }';
  const config = load(text, {
    STRATA_DATA_DIR: '0123',
    STRATA_AI_GATEWAY__LISTEN__PORT: '5100',
    STRATA_AI_GATEWAY__PROVIDERS__MY_MAIN__API_KEY: '12345',
    STRATA_AI_GATEWAY__MODELS: '{gpt: {targets: [{provider: my-main}]}}',
  });
  expect(config.data_dir).toBe('0123');
  expect(config.ai_gateway.listen.port).toBe(5100);
  expect(config.ai_gateway.providers['my-main']?.api_key.reveal()).toBe('12345');
  expect(config.ai_gateway.models.gpt?.targets).toEqual([{ provider: 'my-main' }]);
});

test('a variable that names no key is a mistake, and a bad value is blamed on its variable', () => {
  expect(problemsOf('', { STRATA_AI_GATEWAY__LISTEN__PROT: '1' })).toEqual([
    "ai_gateway.listen.prot (STRATA_AI_GATEWAY__LISTEN__PROT): the variable names no configuration key; did you mean 'STRATA_AI_GATEWAY__LISTEN__PORT'?",
  ]);
  expect(problemsOf('', { STRATA_AI_GATEWAY__LISTEN__PORT: 'many' })).toEqual([
    'ai_gateway.listen.port (STRATA_AI_GATEWAY__LISTEN__PORT): found "many" (string), expected number',
  ]);
});

test('YAML mistakes carry their line: syntax, duplicate keys, a list at the top, alias bombs', () => {
  expect(problemsOf('a: [1, 2')[0]).toContain('line 1');
  expect(problemsOf('data_dir: a\ndata_dir: b')[0]).toContain('line 2');
  expect(problemsOf('- 1')[0]).toContain('must be a map');
  const bomb = `a0: &a0 [x,x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i},*a${i}]`).join('\n')}`;
  expect(problemsOf(bomb).length).toBeGreaterThan(0);
});

test('arbitrary text never throws anything but a ConfigError', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json(), fc.string({ unit: fc.constantFrom(...'a:-{}[]&*!|>\'"%@\n #,') })),
      text => {
        problemsOf(text);
      },
    ),
    { numRuns: 3000 },
  );
});
