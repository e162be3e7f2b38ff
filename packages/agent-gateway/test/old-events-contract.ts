import { describe, expect, test } from 'vitest';
import type { Claim } from '../src/domain/append.ts';
import type { HeldEvents, Journal } from '../src/domain/journal.ts';
import { progress } from './support/progress.ts';
import { runEvent } from './support/run-event.ts';

/** What every journal must do about events that were published long ago, or that are too many. `open` gives a fresh one. */
export function oldEventsContract(name: string, open: () => Promise<Journal>): void {
  const definition = { hash: 'sha256:a', document: '{}' };
  const eventOf = (id: string, data: string) => ({
    specversion: '1.0' as const,
    id,
    source: 's',
    type: 'made',
    data,
  });
  const bytes = Buffer.byteLength(JSON.stringify(eventOf('1', 'ü')));
  const mostBytes = 1_000_000;

  async function openWith(ids: readonly string[], atMs = 5): Promise<Journal> {
    const journal = await open();
    await journal.putDefinition(definition, 1);
    for (const id of ids) await publish(journal, id, { atMs });
    return journal;
  }

  const publish = (
    journal: Journal,
    id: string,
    { tenant = 't', atMs = 5, data = 'ü' }: { tenant?: string; atMs?: number; data?: string } = {},
  ) => journal.publish(tenant, eventOf(id, data), { by: 'p', atMs });

  /** A run that was created then, and what it does when it ends. */
  async function startRun(journal: Journal, { id = 'run_1', tenant = 't', atMs = 1 } = {}) {
    await journal.createRun({
      id,
      tenant,
      principal: 'p',
      definition: definition.hash,
      namespace: 'n',
      name: 'w',
      version: '1.0.0',
      traceId: '0'.repeat(32),
      idempotencyKey: undefined,
      requestDigest: 'd',
      atMs,
      event: runEvent({ tenant, definition: definition.hash, deadlineAtMs: 1_000_000 }),
    });
    const [claim] = (await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1e9, limit: 10 })) as [Claim];
    const write = async (position: number, more: { isFinal: boolean; subscribe?: string[] }) => {
      const kind = 'run-started';
      const records = [{ kind, payload: JSON.stringify({ type: kind, traceparent: '' }), atMs: 20 } as const];
      expect(await journal.append({ claim, position, records, progress, atMs: 20, ...more })).toBe(true);
    };
    return {
      listen: () => write(1, { isFinal: false, subscribe: ['made'] }),
      end: (position: number) => write(position, { isFinal: true }),
      heard: async () =>
        (await journal.requests(id)).map(({ payload }) => (payload as { event: { id: string } }).event.id),
    };
  }

  let runs = 0;
  async function left(journal: Journal, tenant = 't'): Promise<string[]> {
    const run = await startRun(journal, { id: `run_of_left_${runs++}`, tenant });
    await run.listen();
    const heard = await run.heard();
    await run.end(2);
    return heard;
  }

  describe(name, () => {
    test('tenants that have published are found one by one', async () => {
      const journal = await openWith(['1', '2']);
      await publish(journal, '3', { tenant: 'u' });
      expect(await journal.nextPublisher('')).toBe('t');
      expect(await journal.nextPublisher('t')).toBe('u');
      expect(await journal.nextPublisher('u')).toBeUndefined();
      await journal.close();
    });

    test('events are removed when they are old and no open run of the tenant could still listen to them', async () => {
      const journal = await openWith(['long before', 'before'], 0);
      const remove = (tenant: string, beforeMs = 1000, limit = 10) =>
        journal.removeEvents({ tenant, beforeMs, limit });
      await publish(journal, 'since');
      await publish(journal, 'of others', { tenant: 'u' });
      const run = await startRun(journal);
      expect([await remove('t', 1000, 1), await remove('t')]).toEqual([1, 1]);
      await run.listen();
      expect(await run.heard()).toEqual(['since']);
      await run.end(2);
      expect([await remove('t', 5), await remove('t'), await remove('t')]).toEqual([0, 1, 0]);
      expect([await remove('u'), await remove('nobody')]).toEqual([1, 0]);
      await journal.close();
    });

    test('of a tenant that has published too many events, or too large ones, the oldest go, and of others nothing', async () => {
      const journal = await openWith(['1', '2', '3', '4', '5', '6']);
      await publish(journal, 'large', { tenant: 'u', data: 'x'.repeat(1000) });
      const trim = async (room: { most?: number; mostBytes?: number }, limit = 100) => {
        let held: HeldEvents | undefined;
        do held = await journal.trimEvents({ tenant: 't', most: 100, mostBytes, limit, ...room, held });
        while (held !== undefined);
        return left(journal);
      };
      expect(await trim({ most: 6 })).toEqual(['1', '2', '3', '4', '5', '6']);
      expect(await trim({ most: 5 })).toEqual(['2', '3', '4', '5', '6']);
      expect(await trim({ most: 3 }, 1)).toEqual(['4', '5', '6']);
      expect(await trim({ mostBytes: bytes * 3 })).toEqual(['4', '5', '6']);
      expect(await trim({ mostBytes: bytes * 2 }, 2)).toEqual(['5', '6']);
      expect(await trim({ mostBytes: bytes * 2 - 1 })).toEqual(['6']);
      expect(await trim({ mostBytes: 1 })).toEqual([]);
      expect(await left(journal, 'u')).toEqual(['large']);
      await journal.close();
    });

    test('no more are looked at, and no more go, than are asked for at a time', async () => {
      const journal = await openWith(['1', '2', '3', '4', '5', '6', '7']);
      const trim = (held: HeldEvents | undefined) =>
        journal.trimEvents({ tenant: 't', most: 3, mostBytes, limit: 2, held });
      let held: HeldEvents | undefined;
      const kept: number[] = [];
      do {
        held = await trim(held);
        kept.push((await left(journal)).length);
      } while (held !== undefined);
      expect(kept.at(-1)).toBe(3);
      const steps = kept.map((count, at) => (kept[at - 1] ?? 7) - count);
      expect(Math.max(...steps)).toBe(2);
      await journal.close();
    });
  });
}
