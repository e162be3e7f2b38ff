import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { describe, expect, test } from 'vitest';
import type { Claim, NewRun } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { progress } from './support/progress.ts';
import { runEvent } from './support/run-event.ts';

/** What every journal must do about queues, priorities and tenants. `open` gives a fresh one. */
export function queueContract(name: string, open: () => Promise<Journal>): void {
  const leaseMs = 1000;
  const record = {
    kind: 'run-started' as const,
    payload: '{"type":"run-started","traceparent":""}',
    atMs: 1,
  };

  interface Wanted {
    readonly id: string;
    readonly atMs: number;
    readonly tenant?: string;
    readonly priority?: number;
    readonly queue?: NewRun['queue'];
  }

  const newRun = ({ id, atMs, tenant = 't', priority, queue }: Wanted): NewRun => ({
    id,
    tenant,
    principal: 'p',
    definition: 'sha256:a',
    namespace: 'n',
    name: 'w',
    version: '1.0.0',
    traceId: '',
    idempotencyKey: undefined,
    requestDigest: '',
    atMs,
    priority,
    queue,
    event: runEvent({ tenant, definition: 'sha256:a', deadlineAtMs: 1_000_000 }),
  });

  async function openWith(runs: readonly Wanted[]): Promise<Journal> {
    const journal = await open();
    await journal.putDefinition({ hash: 'sha256:a', document: '{}' }, 1);
    for (const run of runs) await journal.createRun(newRun(run));
    return journal;
  }

  const claim = (
    journal: Journal,
    options: { nowMs: number; limit?: number; owner?: string; active?: Record<string, number> },
  ) => journal.claim({ owner: 'a', limit: 10, leaseMs, ...options });

  const idsOf = (claims: readonly Claim[]) => claims.map(({ runId }) => runId).sort();

  const end = (journal: Journal, by: Claim, queue: string, position = 1) =>
    journal.append({
      claim: by,
      position,
      records: [record],
      progress: { ...progress, status: 'completed' },
      atMs: 50,
      isFinal: true,
      queue: { name: queue, step: 'leave' },
    });

  describe(name, () => {
    test('[AG-6] no more runs of a key are let in than its limit, and the next comes in when one ends', async () => {
      const queue = { name: 'k', limit: 2 };
      const ids = ['run_1', 'run_2', 'run_3', 'run_4'];
      const journal = await openWith(ids.map((id, index) => ({ id, atMs: index + 1, queue })));
      const claims = await claim(journal, { nowMs: 10 });
      expect(idsOf(claims)).toEqual(['run_1', 'run_2']);
      expect(await journal.getQueue('t', 'k')).toMatchObject({ running: 2, waiting: 2, nextCameAtMs: 3 });
      expect(await journal.getQueue('u', 'k')).toBeUndefined();
      expect((await journal.getRun('t', 'run_3'))?.isQueued).toBe(true);
      expect(await claim(journal, { nowMs: 900 })).toEqual([]);
      expect(await end(journal, claims[0] as Claim, 'k')).toBe(true); // two were claimed
      expect(await end(journal, claims[0] as Claim, 'k')).toBe(false);
      const next = await claim(journal, { nowMs: 900 });
      expect(next).toMatchObject([{ runId: 'run_3', isQueued: false }]);
      expect(await journal.listQueues('t', { after: undefined, limit: 10 })).toMatchObject([
        { name: 'k', running: 2, waiting: 1 },
      ]);
      await journal.close();
    });

    test('[AG-6] a lease that runs out lets nobody in: the run keeps its place and is claimed again', async () => {
      const queue = { name: 'k', limit: 1 };
      const journal = await openWith(['run_1', 'run_2'].map((id, index) => ({ id, atMs: index + 1, queue })));
      const [stale] = await claim(journal, { nowMs: 10 });
      const [fresh] = await claim(journal, { nowMs: 5000, owner: 'b' });
      expect([stale?.runId, fresh?.runId]).toEqual(['run_1', 'run_1']);
      expect(await end(journal, stale as Claim, 'k')).toBe(false); // both were claimed
      expect(await journal.getQueue('t', 'k')).toMatchObject({ running: 1, waiting: 1 });
      expect(await end(journal, fresh as Claim, 'k')).toBe(true);
      expect(idsOf(await claim(journal, { nowMs: 5001 }))).toEqual(['run_2']);
      await journal.close();
    });

    test('[AG-4] a run that waits in its queue is asked and called off all the same, and looked at when its time is over', async () => {
      const queue = { name: 'k', limit: 1 };
      const journal = await openWith(['run_1', 'run_2'].map((id, index) => ({ id, atMs: index + 1, queue })));
      await claim(journal, { nowMs: 10 });
      await journal.request('t', 'run_2', { kind: 'signal', payload: {}, by: 'p', atMs: 20 });
      const [asked] = await claim(journal, { nowMs: 20 });
      expect(asked).toMatchObject({ runId: 'run_2', isQueued: true });
      const [{ id = 0 } = {}] = await journal.requests('run_2');
      const taken = { claim: asked as Claim, position: 1, records: [record], progress, atMs: 21 }; // just claimed
      await journal.append({ ...taken, isFinal: false, consumed: [id] });
      const rest = { wakeAtMs: 22, queuedUntilMs: 70_000, status: 'waiting' as const, nowMs: 22 };
      expect(await journal.release(asked as Claim, rest)).toBe(true);
      expect(await claim(journal, { nowMs: 900 })).toEqual([]);
      const [late] = (await claim(journal, { nowMs: 80_000, owner: 'b' })).filter(
        each => each.runId === 'run_2',
      );
      expect(late?.isQueued).toBe(true);
      expect(await end(journal, late as Claim, 'k', 2)).toBe(true);
      expect(await journal.getQueue('t', 'k')).toMatchObject({ running: 1, waiting: 0 });
      await journal.close();
    });

    test('a run that is let in while a worker answers for it goes on when that worker lets go', async () => {
      const queue = { name: 'k', limit: 1 };
      const journal = await openWith(['run_1', 'run_2'].map((id, index) => ({ id, atMs: index + 1, queue })));
      const [first] = await claim(journal, { nowMs: 10 });
      await journal.request('t', 'run_2', { kind: 'pause', payload: {}, by: 'p', atMs: 20 });
      const [asked] = await claim(journal, { nowMs: 20 });
      await end(journal, first as Claim, 'k'); // run_2 has its place now
      const [{ id = 0 } = {}] = await journal.requests('run_2');
      const taken = { claim: asked as Claim, position: 1, records: [], progress, atMs: 21 }; // just claimed
      await journal.append({ ...taken, isFinal: false, consumed: [id] });
      const rest = { wakeAtMs: 22, queuedUntilMs: 70_000, status: 'waiting' as const, nowMs: 22 };
      await journal.release(asked as Claim, rest);
      expect(await claim(journal, { nowMs: 30 })).toMatchObject([{ runId: 'run_2', isQueued: false }]);
      await journal.close();
    });

    test('what had ended and goes on waits in its queue again', async () => {
      const queue = { name: 'k', limit: 1 };
      const journal = await openWith([{ id: 'run_1', atMs: 1, queue }]);
      const [first] = await claim(journal, { nowMs: 10 });
      await end(journal, first as Claim, 'k'); // claimed just before
      expect(await journal.getQueue('t', 'k')).toBeUndefined();
      await journal.createRun(newRun({ id: 'run_2', atMs: 20, queue }));
      await journal.request('t', 'run_1', { kind: 'rewind', payload: {}, by: 'p', atMs: 30 });
      const claims = await claim(journal, { nowMs: 30 });
      const [again, other] = ['run_1', 'run_2'].map(id => claims.find(({ runId }) => runId === id));
      const goesOn = { claim: again as Claim, position: 2, records: [record], progress, atMs: 31 }; // both were claimed
      const [{ id = 0 } = {}] = await journal.requests('run_1');
      const consumed = [id];
      await journal.append({ ...goesOn, isFinal: false, consumed, queue: { name: 'k', step: 'wait' } });
      const rest = { wakeAtMs: 32, queuedUntilMs: 70_000, status: 'running' as const, nowMs: 32 };
      await journal.release(again as Claim, rest);
      expect(await claim(journal, { nowMs: 40 })).toEqual([]);
      await end(journal, other as Claim, 'k');
      expect(await claim(journal, { nowMs: 60 })).toMatchObject([{ runId: 'run_1', isQueued: false }]);
      await journal.close();
    });

    test('in a queue the more urgent goes first, and a minute of waiting is worth a step', async () => {
      const runs = [
        { id: 'run_1', atMs: 1, priority: 5 },
        { id: 'run_2', atMs: 2, priority: 0 },
        { id: 'run_3', atMs: 3, priority: 9 },
        { id: 'run_4', atMs: 400_000, priority: 5 },
      ];
      const queue = { name: 'k', limit: 1 };
      const journal = await openWith(runs.map(run => ({ ...run, queue })));
      const order: string[] = [];
      for (let nowMs = 500_000; order.length < 4; nowMs += 10) {
        const [next] = await claim(journal, { nowMs });
        order.push(next?.runId ?? '');
        await end(journal, next as Claim, 'k'); // one is always let in
      }
      expect(order).toEqual(['run_1', 'run_3', 'run_2', 'run_4']);
      await journal.close();
    });

    test('a limit and a pause of the queue itself count for all its runs, and letting more in takes effect at once', async () => {
      const journal = await open();
      await journal.putDefinition({ hash: 'sha256:a', document: '{}' }, 1);
      await journal.changeQueue('t', 'k', { isPaused: true, atMs: 1 });
      for (const id of ['run_1', 'run_2', 'run_3', 'run_4'])
        await journal.createRun(newRun({ id, atMs: 2, queue: { name: 'k', limit: 1 } }));
      expect(await claim(journal, { nowMs: 10 })).toEqual([]);
      await journal.changeQueue('t', 'k', { limit: 2, atMs: 10 });
      expect(await claim(journal, { nowMs: 10 })).toEqual([]);
      await journal.changeQueue('t', 'k', { isPaused: false, atMs: 20 });
      expect(idsOf(await claim(journal, { nowMs: 20 }))).toEqual(['run_1', 'run_2']);
      await journal.changeQueue('t', 'k', { limit: 3, atMs: 30 });
      expect(idsOf(await claim(journal, { nowMs: 30 }))).toEqual(['run_3']);
      await journal.changeQueue('t', 'k', { limit: null, atMs: 40 });
      expect(await journal.getQueue('t', 'k')).toMatchObject({ limit: undefined, running: 3, waiting: 1 });
      await journal.close();
    });

    test('[AG-7] when more is due than a worker can take, tenants take turns, however much one of them has', async () => {
      const flood = Array.from({ length: 40 }, (_, index) => ({
        id: `run_a${String(index).padStart(2, '0')}`,
        atMs: 1,
        tenant: 'a',
      }));
      const others = ['b', 'c'].map(tenant => ({ id: `run_${tenant}`, atMs: 5, tenant }));
      const urgent = { id: 'run_a_urgent', atMs: 6, tenant: 'a', priority: 9 };
      const journal = await openWith([...flood, ...others, urgent]);
      const first = await claim(journal, { nowMs: 10, limit: 4 });
      expect(first.map(({ tenant }) => tenant).sort()).toEqual(['a', 'a', 'b', 'c']);
      expect(idsOf(first)).toContain('run_a_urgent');
      await journal.createRun(newRun({ id: 'run_b2', atMs: 10, tenant: 'b' }));
      const second = await claim(journal, { nowMs: 11, limit: 1, active: { a: 2, b: 1, c: 1 } });
      expect(idsOf(second)).toEqual(['run_b2']);
      await journal.close();
    });

    test('[AG-6] two processes that end and submit runs of one key at the same time never let in too many', async () => {
      const random = seededRandom(11);
      const queue = { name: 'k', limit: 3 };
      const journal = await openWith([]);
      const held = new Set<string>();
      let most = 0;
      let submitted = 0;
      let ended = 0;
      for (; submitted < 6; submitted++)
        await journal.createRun(newRun({ id: `run_${100 + submitted}`, atMs: submitted, queue }));
      const lane = async (owner: string) => {
        while (ended < 60) {
          if (submitted < 60)
            await journal.createRun(newRun({ id: `run_${100 + submitted++}`, atMs: submitted, queue }));
          const claims = await claim(journal, { nowMs: 100, limit: 2, owner });
          for (const { runId } of claims) held.add(runId);
          most = Math.max(most, held.size);
          for (const each of claims) {
            if (random() < 0.5) await new Promise(resolve => setImmediate(resolve));
            held.delete(each.runId);
            if (await end(journal, each, 'k')) ended++;
          }
          await new Promise(resolve => setImmediate(resolve));
        }
      };
      // As many as may run at once do, before anybody is in anybody's way.
      while (submitted < 5)
        await journal.createRun(newRun({ id: `run_${100 + submitted++}`, atMs: submitted, queue }));
      const first = await claim(journal, { nowMs: 100, limit: 5, owner: 'a' });
      expect(first).toHaveLength(3);
      for (const each of first) if (await end(journal, each, 'k')) ended++;
      await Promise.all(['a', 'b', 'c'].map(lane));
      expect(most).toBeLessThanOrEqual(3);
      expect(await journal.getQueue('t', 'k')).toBeUndefined();
      await journal.close();
    });
  });
}
