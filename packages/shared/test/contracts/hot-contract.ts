import type { Hot } from '@strata/shared/stores/hot.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';

/** What every hot store must do. `open` gives one that shares nothing with those before. */
export function hotContract(name: string, open: (clock: ManualClock) => Promise<Hot>): void {
  describe(`${name} as a hot store`, () => {
    let clock: ManualClock;
    let hot: Hot;
    beforeEach(async () => {
      clock = createManualClock();
      hot = await open(clock);
      return () => hot.close();
    });

    test('values last as long as they were told to', async () => {
      await hot.set('k', 'value: with colons', { ttlMs: 1000 });
      expect(await hot.get('k')).toBe('value: with colons');
      await clock.advance(999);
      expect(await hot.get('k')).toBe('value: with colons');
      await clock.advance(1);
      expect(await hot.get('k')).toBeUndefined();
      await hot.set('k', '', { ttlMs: 1000 });
      expect(await hot.get('k')).toBe('');
      await hot.delete('k');
      expect(await hot.get('k')).toBeUndefined();
    });

    test('any text is a key and a value', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.string({ unit: 'grapheme' }),
          fc.string({ unit: 'grapheme' }),
          async (key, value) => {
            await hot.set(key, value, { ttlMs: 1000 });
            expect(await hot.get(key)).toBe(value);
          },
        ),
        { numRuns: 50 },
      );
    });

    test('[MCP-2] one holder at a time; a new holder has a higher fence; the old one can do nothing more', async () => {
      const first = await hot.acquireLease('{s}', 'a', 1000);
      expect(await hot.acquireLease('{s}', 'b', 1000)).toBeUndefined();
      expect(await hot.acquireLease('{s}', 'a', 1000)).toEqual(first);
      await clock.advance(1000);
      const second = await hot.acquireLease('{s}', 'b', 1000);
      expect(second?.fence).toBeGreaterThan(first?.fence ?? Number.NaN);
      const [old, current] = [first?.fence ?? 0, second?.fence ?? 0];
      const append = (fence: number) =>
        hot.appendEvent('{s}:ring', 'x', { maxEvents: 9, ttlMs: 9000, lease: { key: '{s}', fence } });
      expect(await hot.renewLease('{s}', 'a', old, 1000)).toBe(false);
      expect(await hot.releaseLease('{s}', 'a', old)).toBe(false);
      expect(await append(old)).toBe('fenced');
      expect(await append(current)).toBe(1);
      expect(await hot.renewLease('{s}', 'a', current, 1000)).toBe(false);
      expect(await hot.renewLease('{s}', 'b', current, 1000)).toBe(true);
      expect(await hot.releaseLease('{s}', 'b', current)).toBe(true);
      expect(await append(current)).toBe('fenced');
      expect((await hot.acquireLease('{s}', 'a', 1000))?.fence).toBeGreaterThan(current);
    });

    test('[F12] the fence rises although the wall clock was set back', async () => {
      const first = await hot.acquireLease('k', 'a', 1000);
      await hot.releaseLease('k', 'a', first?.fence ?? 0);
      clock.shiftWallClock(-3_600_000);
      expect((await hot.acquireLease('k', 'b', 1000))?.fence).toBeGreaterThan(first?.fence ?? Number.NaN);
    });

    test('[F12] a clock set back finds a lease that had ended alive again, whatever was done meanwhile', async () => {
      const first = await hot.acquireLease('k', 'a', 1000);
      await clock.advance(1001);
      for (let index = 0; index < 20; index++) await hot.set(`other ${index}`, 'v', { ttlMs: 1 });
      clock.shiftWallClock(-2);
      expect(await hot.acquireLease('k', 'b', 1000)).toBeUndefined();
      expect(await hot.acquireLease('k', 'a', 1000)).toEqual(first);
    });

    test('[MCP-2] of many who ask at once, one holds', async () => {
      const asked = Array.from({ length: 20 }, (_, index) => hot.acquireLease('k', `owner ${index}`, 1000));
      expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(1);
    });

    test('[MCP-2] a ring gives exactly the events after a number, and says what it has forgotten', async () => {
      for (let index = 1; index <= 5; index++) {
        expect(await hot.appendEvent('ring', `event ${index}`, { maxEvents: 3, ttlMs: 1000 })).toBe(index);
      }
      expect(await hot.readEvents('ring', 3, 10)).toEqual({
        events: [4, 5].map(seq => ({ seq, event: `event ${seq}` })),
        oldestSeq: 3,
      });
      expect((await hot.readEvents('ring', 0, 2)).events.map(each => each.seq)).toEqual([3, 4]);
      expect(await hot.readEvents('ring', 5, 10)).toEqual({ events: [], oldestSeq: 3 });
      expect(await hot.readEvents('ring', 99, 10)).toEqual({ events: [], oldestSeq: 3 });
      await clock.advance(1000);
      expect(await hot.readEvents('ring', 0, 10)).toEqual({ events: [], oldestSeq: 0 });
      expect(await hot.appendEvent('ring', 'anew', { maxEvents: 3, ttlMs: 1000 })).toBe(1);
    });

    test('a ring that must become smaller forgets its oldest events', async () => {
      for (let index = 1; index <= 6; index++)
        await hot.appendEvent('ring', 'e', { maxEvents: 10, ttlMs: 1000 });
      await hot.appendEvent('ring', 'e', { maxEvents: 2, ttlMs: 1000 });
      await hot.appendEvent('ring', 'e', { maxEvents: 10, ttlMs: 1000 });
      const { events, oldestSeq } = await hot.readEvents('ring', 0, 10);
      expect([oldestSeq, events.map(each => each.seq)]).toEqual([6, [6, 7, 8]]);
    });

    test('appends at the same moment get numbers without gaps', async () => {
      const appended = Array.from({ length: 50 }, (_, index) =>
        hot.appendEvent('ring', `${index}`, { maxEvents: 100, ttlMs: 1000 }),
      );
      const numbers = (await Promise.all(appended)).map(Number).sort((left, right) => left - right);
      expect(numbers).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    });

    test('word gets to everybody who listens, and to nobody who stopped', async () => {
      const seen: string[] = [];
      const end = Promise.withResolvers<void>();
      const listener = (message: string) => void seen.push(message);
      const stopFirst = await hot.subscribe('news', listener);
      const stopSecond = await hot.subscribe('news', listener, { onGap: () => seen.push('gap') });
      await hot.subscribe('news', message => message === 'end' && end.resolve());
      await hot.publish('other', 'not for us');
      await hot.publish('news', 'for both');
      await hot.publish('news', 'end');
      await end.promise;
      await stopFirst();
      await stopSecond();
      await stopSecond();
      const last = Promise.withResolvers<void>();
      await hot.subscribe('news', message => message === 'last' && last.resolve());
      await hot.publish('news', 'last');
      await last.promise;
      expect(seen).toEqual(['for both', 'for both', 'end', 'end']);
    });

    test('what one script could not do, or never could mean anything, is refused', async () => {
      const lease = { key: '{other}:lease', fence: 1 };
      const append = (options: object) =>
        hot.appendEvent('{s}:ring', 'x', { maxEvents: 1, ttlMs: 1, ...options });
      await expect(append({ lease })).rejects.toThrow('share a {tag}');
      for (const ttlMs of [0, -1, 0.5, Number.NaN]) {
        await expect(hot.set('k', 'v', { ttlMs })).rejects.toThrow(RangeError);
        await expect(hot.acquireLease('k', 'a', ttlMs)).rejects.toThrow(RangeError);
        await expect(hot.renewLease('k', 'a', 1, ttlMs)).rejects.toThrow(RangeError);
        await expect(append({ ttlMs })).rejects.toThrow(RangeError);
        await expect(append({ maxEvents: ttlMs })).rejects.toThrow(RangeError);
        await expect(hot.readEvents('{s}:ring', 0, ttlMs)).rejects.toThrow(RangeError);
      }
    });
  });
}
