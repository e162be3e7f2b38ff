import { systemClock } from '@strata/shared/clock.ts';
import { afterAll, expect, test } from 'vitest';
import { createDataSchemas } from '../src/dsl/data-schemas.ts';

const schemas = createDataSchemas(systemClock);
afterAll(() => schemas.close());

const ticket = {
  type: 'object',
  properties: { id: { type: 'integer' }, mail: { type: 'string', format: 'email' } },
  required: ['id'],
  additionalProperties: false,
};

test('a value is held against its schema, every problem with its place', async () => {
  expect(await schemas.validate(ticket, { id: 1, mail: 'a@b.example' })).toEqual([]);
  const problems = await schemas.validate(ticket, { id: 'x', mail: 'nowhere', more: 1 });
  expect(problems).toEqual([
    { pointer: '', message: "must NOT have additional properties ('more')" },
    { pointer: '/id', message: 'must be integer' },
    { pointer: '/mail', message: 'must match format "email"' },
  ]);
});

test('a schema that is none, or refers to another document, is wrong; nothing is fetched', async () => {
  expect(await schemas.check(ticket)).toBeUndefined();
  expect(await schemas.check({ type: 'nonsense' })).toMatch(/^Not a valid JSON Schema/);
  expect(await schemas.check({ $ref: 'http://127.0.0.1:1/schema.json' })).toMatch(/can't resolve reference/);
  expect(await schemas.check({ $defs: { a: ticket }, $ref: '#/$defs/a' })).toBeUndefined();
});

test('two schemas with one `$id` do not meet', async () => {
  expect(await schemas.validate({ $id: 'https://x.example/a', type: 'string' }, 1)).toHaveLength(1);
  expect(await schemas.validate({ $id: 'https://x.example/a', type: 'integer' }, 1)).toEqual([]);
});

test('[S18] a hostile pattern ends in time, and the next value is validated', async () => {
  const hostile = { type: 'string', pattern: '^(a+)+$' };
  await expect(schemas.validate(hostile, `${'a'.repeat(40)}!`)).rejects.toMatchObject({
    reason: 'schema_timeout',
  });
  expect(await schemas.validate(ticket, { id: 1 })).toEqual([]);
});
