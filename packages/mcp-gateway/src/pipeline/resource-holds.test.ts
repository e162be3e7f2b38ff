import { expect, test } from 'vitest';
import { ResourceHolds } from './resource-holds.ts';

const never = new AbortController().signal;
const told = async () => ({ isRefused: false });
const refused = async () => ({ isRefused: true });

test('the server is asked by the first and the last, and by each when it refuses', async () => {
  const holds = new ResourceHolds<string>();
  expect(await holds.hold('a://', 'one', { ask: refused, signal: never })).toEqual({ isRefused: true });
  expect(holds.size).toBe(0);
  expect(await holds.hold('a://', 'one', { ask: told, signal: never })).toEqual({ isRefused: false });
  expect(await holds.hold('a://', 'two', { ask: told, signal: never })).toBeUndefined();
  expect([...holds.holdersOf('a://part')]).toEqual(['one', 'two']);
  expect(await holds.release('a://', 'one', async wasHeld => wasHeld)).toBeUndefined();
  expect(await holds.release('a://', 'two', async wasHeld => wasHeld)).toBe(true);
  expect(await holds.release('a://', 'two', async wasHeld => wasHeld)).toBe(false);
  expect(holds.size).toBe(0);
});

test('what fails is held by nobody, and who comes after asks again', async () => {
  const holds = new ResourceHolds<string>();
  const fail = async () => {
    throw new Error('lost');
  };
  const both = [
    holds.hold('a://', 'one', { ask: fail, signal: never }),
    holds.hold('a://', 'two', { ask: told, signal: never }),
  ];
  const [first, second] = await Promise.allSettled(both);
  expect(first).toMatchObject({ reason: { message: 'lost' } });
  expect(second).toMatchObject({ value: { isRefused: false } });
  expect([holds.isHeldBy('a://', 'one'), holds.isHeldBy('a://', 'two')]).toEqual([false, true]);
  await holds.releaseAll('two', refused);
  expect(holds.size).toBe(0);
});

test('what was held in a conversation before is held, and is asked about at its end', async () => {
  const holds = new ResourceHolds<string>();
  holds.adopt('a://', 'one');
  expect(holds.confirmed()).toEqual(['a://']);
  const asked: string[] = [];
  await holds.releaseAll('one', async uri => asked.push(uri));
  expect(asked).toEqual(['a://']);
  expect(holds.size).toBe(0);
});
