import { expect, test, vi } from 'vitest';
import { ResourceHolds, type Told } from './resource-holds.ts';

const never = new AbortController().signal;
const told = async () => ({ isRefused: false });
const nothing = async () => {};
const refused = async () => ({ isRefused: true });

test('the server is asked by the first and the last, and by each when it refuses', async () => {
  const holds = new ResourceHolds<string>(nothing);
  expect(await holds.hold('a://', 'one', { ask: refused, signal: never })).toEqual({ isRefused: true });
  expect(holds.size).toBe(0);
  expect(await holds.hold('a://', 'one', { ask: told, signal: never })).toEqual({ isRefused: false });
  expect(await holds.hold('a://', 'two', { ask: told, signal: never })).toBeUndefined();
  expect([...holds.holdersOf('a://part')]).toEqual(['one', 'two']);
  expect(
    await holds.release('a://', 'one', { ask: async wasHeld => wasHeld, signal: never }),
  ).toBeUndefined();
  expect(await holds.release('a://', 'two', { ask: async wasHeld => wasHeld, signal: never })).toBe(true);
  expect(await holds.release('a://', 'two', { ask: async wasHeld => wasHeld, signal: never })).toBe(false);
  expect(holds.size).toBe(0);
});

test('what fails is held by nobody, and who comes after asks again', async () => {
  const holds = new ResourceHolds<string>(nothing);
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
  await holds.dropAll('two');
  expect(holds.size).toBe(0);
});

test('what was held in a conversation before is held, and is asked about at its end', async () => {
  const asked: string[] = [];
  const holds = new ResourceHolds<string>(async uri => asked.push(uri));
  holds.adopt('a://', 'one');
  expect(holds.confirmed()).toEqual(['a://']);
  await holds.dropAll('one');
  expect(asked).toEqual(['a://']);
  expect(holds.size).toBe(0);
});

test('what a server may tell because its answer was not heard is taken back, unless it was told before', async () => {
  const takenBack: string[] = [];
  const holds = new ResourceHolds<string>(async uri => takenBack.push(uri));
  const lose = async () => {
    throw new Error('lost');
  };
  const hold = (ask: () => Promise<Told>) => holds.hold('a://', 'one', { ask, signal: never });
  await expect(hold(lose)).rejects.toThrow('lost');
  await vi.waitFor(() => expect(holds.size).toBe(0));
  expect(takenBack).toEqual(['a://']);
  await hold(told);
  await expect(hold(lose)).rejects.toThrow('lost');
  expect(holds.isHeldBy('a://', 'one')).toBe(true);
  expect(takenBack).toHaveLength(1);
});

test('whoever gives up leaving has left all the same, in turn', async () => {
  const takenBack: string[] = [];
  const holds = new ResourceHolds<string>(async uri => takenBack.push(uri));
  await holds.hold('a://', 'one', { ask: told, signal: never });
  const asking = Promise.withResolvers<Told>();
  const second = holds.hold('a://', 'one', { ask: () => asking.promise, signal: never });
  const patience = new AbortController();
  const left = holds.release('a://', 'one', { ask: async () => 'told', signal: patience.signal });
  patience.abort(new Error('no longer'));
  await expect(left).rejects.toThrow('no longer');
  expect(takenBack).toEqual([]);
  asking.resolve({ isRefused: false });
  await second;
  await vi.waitFor(() => expect(holds.size).toBe(0));
  expect(takenBack).toEqual(['a://']);
});

test('the server is asked one thing at a time about a resource, whoever wants it and however it goes', async () => {
  let running = 0;
  let most = 0;
  const asking = async <Answer>(answer: () => Answer): Promise<Answer> => {
    most = Math.max(most, ++running);
    await new Promise(resolve => setImmediate(resolve));
    running--;
    return answer();
  };
  const lost = () => {
    throw new Error('lost');
  };
  const holds = new ResourceHolds<number>(() => asking(() => undefined));
  const steps = Array.from({ length: 60 }, (_, index) => {
    const holder = index % 5;
    if (index % 3 === 1)
      return holds.release('a://', holder, { ask: () => asking(() => 'left'), signal: never });
    if (index % 7 === 2) return holds.drop('a://', holder);
    const isRefused = index % 4 === 0;
    const answer = index % 11 === 0 ? lost : () => ({ isRefused });
    return holds.hold('a://', holder, { ask: () => asking(answer), signal: never });
  });
  await Promise.allSettled(steps);
  for (let holder = 0; holder < 5; holder++) await holds.dropAll(holder);
  await vi.waitFor(() => expect(holds.size).toBe(0));
  expect(most).toBe(1);
});

test('nothing is taken back from a server that could not be opened, or is gone', async () => {
  const takenBack: string[] = [];
  let isOpen = false;
  const holds = new ResourceHolds<string>(
    async uri => takenBack.push(uri),
    () => isOpen,
  );
  const fail = async () => {
    throw new Error('not opened');
  };
  await expect(holds.hold('a://', 'one', { ask: fail, signal: never })).rejects.toThrow('not opened');
  expect(holds.size).toBe(0);
  isOpen = true;
  await expect(holds.hold('b://', 'one', { ask: fail, signal: never })).rejects.toThrow('not opened');
  await vi.waitFor(() => expect(takenBack).toEqual(['b://']));
});
