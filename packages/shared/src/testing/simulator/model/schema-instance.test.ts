import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { instanceOf } from './schema-instance.ts';

type Tree = { name: string; children: Tree[] };
const tree: z.ZodType<Tree> = z.lazy(() => z.object({ name: z.string(), children: z.array(tree).max(0) }));

describe('an instance of a schema', () => {
  it.each<[string, z.ZodType]>([
    ['an object', z.object({ a: z.string(), b: z.number().optional() })],
    [
      'limits of numbers',
      z.object({ a: z.int().min(3).max(5), b: z.number().gt(0).lt(0.5), c: z.int().max(-2) }),
    ],
    ['multiples', z.object({ a: z.int().min(3).multipleOf(5) })],
    ['limits of texts', z.object({ a: z.string().min(10), b: z.string().max(2) })],
    ['limits of arrays', z.object({ a: z.array(z.boolean()).min(2), b: z.tuple([z.string(), z.number()]) })],
    ['formats', z.object({ a: z.uuid(), b: z.email(), c: z.iso.datetime(), d: z.iso.date(), e: z.url() })],
    ['choices', z.object({ a: z.enum(['x', 'y']), b: z.literal(7), c: z.union([z.null(), z.string()]) })],
    ['parts in common', z.intersection(z.object({ a: z.string() }), z.object({ b: z.int() }))],
    ['a schema that refers to itself', tree],
    ['nothing but null', z.null()],
  ])('has what the schema asks for: %s', (_name, schema) => {
    const instance = instanceOf(z.toJSONSchema(schema) as Record<string, unknown>);
    expect(schema.safeParse(instance)).toMatchObject({ success: true });
  });

  it("reads Gemini's way to write types and limits", () => {
    expect(instanceOf({ type: 'ARRAY', items: { type: 'INTEGER' }, minItems: '2' })).toEqual([1, 1]);
  });

  it('ends where a schema does not', () => {
    const endless = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } };
    expect(instanceOf(endless)).toBeNull();
    const wide = {
      type: 'object',
      properties: Object.fromEntries([...'abcdefgh'].map(name => [name, { $ref: '#' }])),
    };
    expect(JSON.stringify(instanceOf(wide)).length).toBeLessThan(1_000_000);
    expect(instanceOf({ type: 'array', items: {}, minItems: 1e9 })).toHaveLength(1000);
    expect(instanceOf({ type: 'string', minLength: 1e12 })).toHaveLength(100_000);
  });

  it('reads what is no schema', () => {
    expect(instanceOf({ type: 'object', required: [{ toString: null }, 'a', 1] })).toEqual({ a: null });
    expect(instanceOf({ type: 'string', format: 'toString' })).toBe('text');
  });
});
