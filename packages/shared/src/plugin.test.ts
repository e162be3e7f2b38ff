import { expect, test } from 'vitest';
import * as z from 'zod';
import { createRegistry, definePlugin } from './plugin.ts';

const defineGreeter = definePlugin<{ name: string }, () => string>();
const polite = defineGreeter({
  type: 'polite',
  options: z.object({ title: z.string().default('Dr') }),
  create:
    ({ title }, { name }) =>
    () =>
      `Hello, ${title} ${name}`,
});
const greeters = createRegistry([polite]);

test('makes a plugin by its type, with defaults', () => {
  expect(greeters.create({ type: 'polite' }, { name: 'Ada' })()).toBe('Hello, Dr Ada');
});

test('an unknown type and an unknown option are refused', () => {
  expect(() => greeters.create({ type: 'rude' }, { name: 'Ada' })).toThrow(
    "Unknown plugin type 'rude'. Known: polite",
  );
  expect(() => greeters.create({ type: 'polite', titel: 'Mx' }, { name: 'Ada' })).toThrow('titel');
  expect(greeters.schema.safeParse({ type: 'polite', titel: 'Mx' }).success).toBe(false);
});
