import { systemClock } from '@strata/shared/clock.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventLog, type EventSink, parseEventId } from './event-log.ts';

const open = (overrides: Partial<ConstructorParameters<typeof EventLog>[0]> = {}) => {
  const hot = createMemoryHot(systemClock);
  let lease: Promise<{ key: string; fence: number }> | undefined;
  return new EventLog({
    id: 's',
    hot,
    ring: '{s}:ring',
    lease: () => {
      lease ??= hot
        .acquireLease('{s}:lease', 'me', 60_000)
        .then(held => ({ key: '{s}:lease', fence: held?.fence ?? 0 }));
      return lease;
    },
    maxEvents: 1000,
    maxBytes: 1_000_000,
    keepMs: 60_000,
    retryMs: 1000,
    isShared: false,
    asked: [],
    hasPriming: false,
    onFenced: () => {},
    onDropped: () => {},
    ...overrides,
  });
};

/** A client: keeps what it got, and can be told to break after a number of events. */
function client(breakAfter = Number.POSITIVE_INFINITY) {
  const events: { id: string; data: string }[] = [];
  const ended = Promise.withResolvers<void>();
  let isEnded = false;
  const sink: EventSink = {
    write: async text => {
      if (isEnded) throw new Error('written after the end');
      if (events.length >= breakAfter) throw new Error('gone');
      const id = /^id: (.*)$/m.exec(text)?.[1] ?? '';
      const data = /^data: ?(.*)$/m.exec(text)?.[1] ?? '';
      events.push({ id, data });
    },
    end: () => {
      isEnded = true;
      ended.resolve();
    },
  };
  return { sink, events, ended: ended.promise, data: () => events.map(event => event.data) };
}

test('[M-4] a client that comes back gets exactly what it missed, in order, wherever it broke', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 200 }),
      fc.nat(200),
      fc.boolean(),
      async (count, breakAt, isLate) => {
        const log = open();
        const first = client(breakAt % (count + 1));
        await log.attach(first.sink, 0);
        for (let index = 0; index < count; index++) {
          log.append(`${index}`);
          if (!isLate && index % 7 === 0) await Promise.resolve();
        }
        log.finish();
        const last = first.events.at(-1);
        await new Promise(resolve => setImmediate(resolve));
        const got = first.data();
        const second = client();
        const from = parseEventId(first.events.at(-1)?.id ?? last?.id ?? 's.0')?.seq ?? 0;
        await log.attach(second.sink, from);
        await second.ended;
        expect([...got, ...second.data()]).toEqual(Array.from({ length: count }, (_, index) => `${index}`));
      },
    ),
    { numRuns: 60 },
  );
});

test('the newest connection wins and the one before is ended', async () => {
  const log = open();
  const old = client();
  await log.attach(old.sink, 0);
  const young = client();
  await log.attach(young.sink, log.deliveredSeq);
  await old.ended;
  log.append('x');
  log.finish();
  await young.ended;
  expect(old.data()).toEqual([]);
  expect(young.data()).toEqual(['x']);
});

test('[F61] an event that never was, or is no longer kept, is an error and not a gap', async () => {
  const log = open({ maxEvents: 5 });
  for (let index = 0; index < 100; index++) log.append(`${index}`);
  await expect(log.attach(client().sink, 101)).rejects.toThrow('no events after');
  await expect(log.attach(client().sink, 10)).rejects.toThrow('no events after');
  const late = client();
  await log.attach(late.sink, 95);
  log.finish();
  await late.ended;
  expect(late.data()).toEqual(['95', '96', '97', '98', '99']);
});

test('a ring that expired in between does not repeat or lose numbers', async () => {
  const hot = createMemoryHot({ ...systemClock, now: () => nowMs });
  let nowMs = 0;
  const log = open({ hot, keepMs: 100, lease: async () => ({ key: '{s}:lease', fence: 1 }) });
  await hot.acquireLease('{s}:lease', 'me', 1e9);
  log.append('a');
  const first = client();
  await log.attach(first.sink, 0);
  await new Promise(resolve => setImmediate(resolve));
  nowMs = 1000;
  log.append('b');
  log.finish();
  await first.ended;
  expect(first.events).toEqual([
    { id: 's.1', data: 'a' },
    { id: 's.2', data: 'b' },
  ]);
});

test('[MCP-2] an owner that was fenced off appends nothing more', async () => {
  let isFenced = false;
  const log = open({
    lease: async () => ({ key: '{s}:lease', fence: 99 }),
    onFenced: () => (isFenced = true),
  });
  log.append('x');
  log.finish();
  const late = client();
  await log.attach(late.sink, 0);
  await late.ended;
  expect(late.data()).toEqual([]);
  expect(isFenced).toBe(true);
});

test('a store that is down costs the resume, not the message', async () => {
  const down = () => Promise.reject(new Error('down'));
  const log = open({ lease: down });
  const reader = client();
  await log.attach(reader.sink, 0);
  log.append('x');
  log.finish();
  await reader.ended;
  expect(reader.data()).toEqual(['x']);
});

test('the priming event comes first and carries an id to resume from', async () => {
  const log = open({ hasPriming: true });
  const reader = client();
  await log.attach(reader.sink, 0);
  log.append('x');
  log.finish();
  await reader.ended;
  expect(reader.events).toEqual([
    { id: 's.0', data: '' },
    { id: 's.1', data: 'x' },
  ]);
});

test('foreign event ids are not read as ours', () => {
  for (const text of ['', 's', 's.', '.1', 's.-1', 's.1.2', 'S.1', `s.${'9'.repeat(30)}`]) {
    expect(parseEventId(text)).toBeUndefined();
  }
});
