import { expect, test } from 'vitest';
import { compose } from './pipeline.ts';

test('the first stage is the outermost', async () => {
  const log: string[] = [];
  const run = compose<object, string>(
    [
      async (_context, next) => {
        log.push('a');
        const result = await next();
        log.push('/a');
        return result;
      },
      async (_context, next) => {
        log.push('b');
        return next();
      },
    ],
    async () => {
      log.push('terminal');
      return 'ok';
    },
  );
  expect(await run({})).toBe('ok');
  expect(log).toEqual(['a', 'b', 'terminal', '/a']);
});

test('a stage that calls next twice is refused', async () => {
  const run = compose<object, string>(
    [
      async (_context, next) => {
        await next();
        return next();
      },
    ],
    async () => 'x',
  );
  await expect(run({})).rejects.toThrow('next() called twice');
});

test('a stage may answer without calling next', async () => {
  const run = compose<object, string>([async () => 'early'], async () => 'late');
  expect(await run({})).toBe('early');
});
