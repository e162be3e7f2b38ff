import { Secret } from '@strata/shared/secret.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTaskIds } from './task-ids.ts';

const ids = createTaskIds(new Secret('x'.repeat(52)));

test('[tasks] an id leads back to its task for its owner, is the same each time, and nothing to anybody else', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (owner, other, taskId) => {
      const exposed = ids.expose(owner, 'files', taskId);
      expect(ids.expose(owner, 'files', taskId)).toBe(exposed);
      expect(ids.resolve(owner, exposed)).toEqual({ server: 'files', taskId });
      if (other !== owner) expect(ids.resolve(other, exposed)).toBeUndefined();
    }),
  );
});

test('[tasks] a changed server, a changed task, an invented id and another secret lead nowhere', () => {
  const exposed = ids.expose('ann', 'files', 't1');
  for (const changed of [
    exposed.replace('files', 'other'),
    exposed.replace('t1', 't2'),
    `${exposed}x`,
    't1',
    '',
    'files..t1',
    `files.${'A'.repeat(22)}.t1`,
    'x'.repeat(100_000),
  ]) {
    expect(ids.resolve('ann', changed)).toBeUndefined();
  }
  expect(createTaskIds(new Secret('y'.repeat(52))).resolve('ann', exposed)).toBeUndefined();
});
