import { describe, expect, test } from 'vitest';
import type { Claim, NewRecord, NewRun } from '../src/domain/append.ts';
import type { Journal, RunFilter } from '../src/domain/journal.ts';
import { progress } from './support/progress.ts';
import { runEvent } from './support/run-event.ts';

/** What every journal must do. `open` gives a fresh one. */
export function journalContract(name: string, open: () => Promise<Journal>): void {
  const record = (text: string): NewRecord => ({
    kind: 'run-started',
    payload: JSON.stringify({ type: 'run-started', traceparent: text }),
    atMs: 1,
  });
  const definition = { hash: 'sha256:a', document: '{}' };

  const newRun = (id: string, key?: string): NewRun => ({
    id,
    tenant: 't',
    principal: 'p',
    definition: definition.hash,
    namespace: 'n',
    name: 'w',
    version: '1.0.0',
    traceId: '0'.repeat(32),
    idempotencyKey: key,
    requestDigest: 'd',
    atMs: 1,
    event: runEvent({ tenant: 't', definition: definition.hash, deadlineAtMs: 1_000_000 }),
  });

  async function openWithRun(id = 'run_1'): Promise<Journal> {
    const journal = await open();
    await journal.putDefinition(definition, 1);
    await journal.createRun(newRun(id));
    return journal;
  }

  const claimOne = async (journal: Journal, owner: string, nowMs: number): Promise<Claim | undefined> =>
    (await journal.claim({ owner, nowMs, leaseMs: 1000, limit: 10 }))[0];

  const append = (journal: Journal, claim: Claim, position: number, text: string) =>
    journal.append({ claim, position, records: [record(text)], progress, atMs: 2, isFinal: false });

  const texts = async (journal: Journal) =>
    (await journal.read('run_1', 1, 100)).map(each =>
      each.event.type === 'run-started' ? each.event.traceparent : each.event.type,
    );

  describe(name, () => {
    test('a run is created once for a key of its tenant, and again for another tenant', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      const first = await journal.createRun(newRun('run_1', 'k'));
      const again = await journal.createRun(newRun('run_2', 'k'));
      const other = await journal.createRun({ ...newRun('run_3', 'k'), tenant: 'u' });
      expect([first.isNew, again.isNew, again.run.id, other.isNew]).toEqual([true, false, 'run_1', true]);
      expect(await journal.getRun('u', 'run_1')).toBeUndefined();
      await journal.close();
    });

    test('a run that is made with a lease is held from then on: the claim writes, and nobody else gets it before it has passed', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      const lease = { owner: 'a', nowMs: 10, leaseMs: 1000 };
      const { claim, run } = await journal.createRun(newRun('run_1', 'k'), lease);
      expect([claim?.runId, claim?.tenant, claim?.isQueued, run.wakeAtMs]).toEqual([
        ...['run_1', 't', false],
        undefined,
      ]);
      expect((await journal.createRun(newRun('run_2', 'k'), lease)).claim).toBeUndefined();
      expect((await journal.createRun(newRun('run_1', 'k'), lease)).claim).toBeUndefined();
      expect(await claimOne(journal, 'b', 500)).toBeUndefined();
      expect(await append(journal, claim as Claim, 1, 'from the first')).toBe(true); // compared above
      const second = await claimOne(journal, 'b', 2000);
      expect(second?.epoch).toBeGreaterThan(claim?.epoch ?? Number.NaN);
      expect(await append(journal, claim as Claim, 2, 'late')).toBe(false);
      const queue = { name: 'q', limit: 5 };
      expect((await journal.createRun({ ...newRun('run_3'), queue }, lease)).claim).toBeUndefined();
      expect((await claimOne(journal, 'b', 2000))?.runId).toBe('run_3');
      await journal.close();
    });

    test('one worker holds a run; another gets it when the lease has passed, and nobody before', async () => {
      const journal = await openWithRun();
      const first = await claimOne(journal, 'a', 10);
      expect(first?.runId).toBe('run_1');
      expect(await claimOne(journal, 'b', 500)).toBeUndefined();
      const second = await claimOne(journal, 'b', 2000);
      expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Number.NaN);
      await journal.close();
    });

    test('[AG-2] a worker that lost its run writes nothing more, renews nothing and releases nothing', async () => {
      const journal = await openWithRun();
      const of = (owner: string) => ({ owner, runIds: ['run_1'] });
      const stale = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      expect(await append(journal, stale, 1, 'from a')).toBe(true);
      const fresh = (await claimOne(journal, 'b', 2000)) as Claim; // the lease has passed
      expect(await append(journal, stale, 2, 'late from a')).toBe(false);
      expect(await append(journal, fresh, 2, 'from b')).toBe(true);
      expect(await append(journal, stale, 3, 'late from a')).toBe(false);
      expect(await journal.release(stale, { wakeAtMs: 1, status: 'waiting', nowMs: 2100 })).toBe(false);
      expect((await journal.renew({ ...of('a'), nowMs: 2100, leaseMs: 1000 })).held).toEqual([]);
      expect((await journal.renew({ ...of('b'), nowMs: 2100, leaseMs: 1000 })).held).toEqual(['run_1']);
      expect(await texts(journal)).toEqual(['from a', 'from b']);
      await journal.close();
    });

    test('what has ended takes only the request to rewind it, is claimed for that, and has not ended until it ends again', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      const failed = { ...progress, status: 'failed' as const };
      await journal.append({
        claim,
        position: 1,
        records: [record('x')],
        progress: failed,
        atMs: 20,
        isFinal: true,
      });
      const ask = (kind: 'cancel' | 'rewind', tenant = 't') =>
        journal.request(tenant, 'run_1', { kind, payload: {}, by: 'p', atMs: 30 });
      expect([await ask('cancel'), await ask('rewind', 'u')]).toEqual([false, false]);
      expect(await claimOne(journal, 'a', 5000)).toBeUndefined();
      expect(await ask('rewind')).toBe(true);
      const again = (await claimOne(journal, 'a', 5000)) as Claim; // it is due now
      expect(again.epoch).toBeGreaterThan(claim.epoch);
      const [{ id = 0 } = {}] = await journal.requests('run_1');
      const refuse = { claim: again, position: 2, records: [], progress: failed, atMs: 40, isFinal: true };
      await journal.append({ ...refuse, consumed: [id] });
      expect((await journal.getRun('t', 'run_1'))?.endedAtMs).toBe(20);
      expect(await claimOne(journal, 'a', 90_000)).toBeUndefined();
      await ask('rewind');
      const last = (await claimOne(journal, 'a', 90_000)) as Claim; // it is due again
      expect(await append(journal, last, 2, 'goes on')).toBe(true);
      expect((await journal.getRun('t', 'run_1'))?.endedAtMs).toBeUndefined();
      await journal.close();
    });

    test('a fork begins with the records of the other run up to a point, once for its key', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      for (const [index, text] of ['one', 'two', 'three'].entries())
        await append(journal, claim, index + 1, text);
      const fork = { runId: 'run_1', to: 3, record: { ...record('forked'), kind: 'run-forked' as const } };
      const made = await journal.createRun({ ...newRun('run_2', 'k'), fork });
      expect([made.isNew, made.run.position, made.run.status]).toEqual([true, 4, 'pending']);
      expect((await journal.createRun({ ...newRun('run_3', 'k'), fork })).run.id).toBe('run_2');
      const records = await journal.read('run_2', 0, 10);
      expect(records.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
      expect(
        records.map(({ event }) => (event.type === 'run-started' ? event.traceparent : event.type)),
      ).toEqual(['run-created', 'one', 'two', 'forked']);
      expect(await texts(journal)).toEqual(['one', 'two', 'three']);
      const other = (await claimOne(journal, 'b', 20)) as Claim; // only the fork is due
      expect([other.runId, await append(journal, other, 4, 'goes on')]).toEqual(['run_2', true]);
      await journal.close();
    });

    test('a list of runs is narrowed by all that is asked, and goes on where a page ended', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      const queue = { name: 'q', limit: 1 };
      await journal.createRun({ ...newRun('run_1', 'k1'), name: 'one', version: '1' });
      await journal.createRun({ ...newRun('run_2', 'k2'), name: 'two', version: '1', queue });
      await journal.createRun({ ...newRun('run_3'), name: 'two', version: '2', principal: 'other', queue });
      const list = async (filter: Partial<RunFilter>) =>
        (await journal.listRuns({ tenant: 't', limit: 10, ...filter })).map(({ id }) => id);
      expect(await list({})).toEqual(['run_3', 'run_2', 'run_1']);
      expect(await list({ name: 'two' })).toEqual(['run_3', 'run_2']);
      expect(await list({ name: 'two', version: '1' })).toEqual(['run_2']);
      expect(await list({ queue: 'q' })).toEqual(['run_3', 'run_2']);
      expect(await list({ queue: 'q', before: 'run_3' })).toEqual(['run_2']);
      expect(await list({ queue: 'q', limit: 1 })).toEqual(['run_3']);
      expect(await list({ idempotencyKey: 'k1' })).toEqual(['run_1']);
      expect(await list({ principal: 'other', status: 'pending' })).toEqual(['run_3']);
      expect(await list({ principal: 'other', status: 'completed' })).toEqual([]);
      expect(await list({ tenant: 'u' })).toEqual([]);
      await journal.close();
    });

    test('runs that ended before a time are removed, a few at a time, and none that goes on or was asked to', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      for (const id of ['run_1', 'run_2', 'run_3', 'run_4']) await journal.createRun(newRun(id, id));
      const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1000, limit: 10 });
      for (const claim of claims.filter(({ runId }) => runId !== 'run_4')) {
        const atMs = Number(claim.runId.slice(-1)) * 10;
        const rest = { records: [record('x')], progress, atMs, isFinal: true };
        await journal.append({ claim, position: 1, ...rest });
      }
      await journal.request('t', 'run_2', { kind: 'rewind', payload: {}, by: 'p', atMs: 50 });
      const kept = async () => (await journal.listRuns(all)).map(({ id }) => id).sort();
      const all = { tenant: 't', limit: 10 };
      expect(await journal.removeEnded({ beforeMs: 10, limit: 10 })).toBe(0);
      expect(await journal.removeEnded({ beforeMs: 99, limit: 1 })).toBe(1);
      expect(await kept()).toEqual(['run_2', 'run_3', 'run_4']);
      expect(await journal.read('run_1', 0, 10)).toEqual([]);
      expect(await journal.removeEnded({ beforeMs: 99, limit: 10 })).toBe(1);
      expect(await kept()).toEqual(['run_2', 'run_4']);
      expect((await journal.createRun(newRun('run_5', 'run_1'))).isNew).toBe(true);
      await journal.close();
    });

    test('a run that has a retention of its own goes when that is over, others stay', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      for (const [index, keepEndedMs] of [100, undefined, 5000].entries())
        await journal.createRun({ ...newRun(`run_${index}`), keepEndedMs });
      const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1000, limit: 10 });
      for (const claim of claims)
        await journal.append({
          claim,
          position: 1,
          records: [record('x')],
          progress,
          atMs: 20,
          isFinal: true,
        });
      const remove = (beforeMs: number) => journal.removeEnded({ beforeMs, limit: 10, isOwn: true });
      expect([await remove(120), await remove(121), await remove(5000)]).toEqual([0, 1, 0]);
      const all = { tenant: 't', limit: 10 };
      expect((await journal.listRuns(all)).map(({ id }) => id).sort()).toEqual(['run_1', 'run_2']);
      expect(await journal.removeEnded({ beforeMs: 21, limit: 10 })).toBe(2);
      await journal.close();
    });

    test('[AG-2] an append at a position that is not the last is refused, whole', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      expect(await append(journal, claim, 1, 'second')).toBe(true);
      expect(await append(journal, claim, 1, 'again')).toBe(false);
      expect(await append(journal, claim, 5, 'gap')).toBe(false);
      expect(await texts(journal)).toEqual(['second']);
      await journal.close();
    });

    test('appends of many runs at once are each whole and in order', async () => {
      const journal = await open();
      await journal.putDefinition(definition, 1);
      const ids = Array.from({ length: 30 }, (_, index) => `run_${String(index).padStart(2, '0')}`);
      for (const id of ids) await journal.createRun(newRun(id));
      const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1000, limit: 100 });
      await Promise.all(
        claims.map(async claim => {
          for (let position = 1; position <= 10; position++)
            expect(await append(journal, claim, position, `${position}`)).toBe(true);
        }),
      );
      for (const id of ids) {
        const records = await journal.read(id, 0, 100);
        expect(records.map(each => each.seq)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
      }
      await journal.close();
    });

    test('what ended is never claimed again and takes no requests', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      const request = { kind: 'cancel' as const, payload: {}, by: 'p', atMs: 3 };
      expect(await journal.request('t', 'run_1', request)).toBe(true);
      expect(await journal.request('u', 'run_1', request)).toBe(false);
      expect((await journal.requests('run_1')).map(each => each.kind)).toEqual(['cancel']);
      await journal.append({
        claim,
        position: 1,
        records: [record('last')],
        progress: { ...progress, status: 'completed' },
        atMs: 2,
        isFinal: true,
      });
      expect(await claimOne(journal, 'b', 1_000_000)).toBeUndefined();
      expect(await journal.request('t', 'run_1', request)).toBe(false);
      await journal.close();
    });

    test('[AG-4] a sleeping run is due at its time, or as soon as something is asked of it', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      expect(await journal.release(claim, { wakeAtMs: 5000, status: 'waiting', nowMs: 20 })).toBe(true);
      expect(await claimOne(journal, 'a', 4999)).toBeUndefined();
      await journal.request('t', 'run_1', { kind: 'cancel', payload: {}, by: 'p', atMs: 30 });
      expect((await claimOne(journal, 'a', 40))?.runId).toBe('run_1');
      await journal.close();
    });

    test('an append whose answer was lost is known again, and only by the worker that wrote it', async () => {
      const journal = await openWithRun();
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // claimed just before
      const write = { claim, position: 1, records: [record('once')], progress, atMs: 2, isFinal: false };
      expect(await journal.append(write)).toBe(true);
      expect(await journal.append(write)).toBe(false);
      expect(await journal.append({ ...write, isRepeat: true })).toBe(true);
      await claimOne(journal, 'b', 2000);
      expect(await journal.append({ ...write, isRepeat: true })).toBe(false);
      expect(await texts(journal)).toEqual(['once']);
      await journal.close();
    });

    test('[AG-4] a request that comes while its run is let go wakes it, in whichever order the two arrive', async () => {
      const journal = await openWithRun();
      for (let round = 0; round < 20; round++) {
        const claim = (await claimOne(journal, 'a', 10 + round)) as Claim; // due by the request of the round before
        const request = { kind: 'signal' as const, payload: {}, by: 'p', atMs: 3 };
        const asking = journal.request('t', 'run_1', request);
        await Promise.all([
          asking,
          journal.release(claim, { wakeAtMs: 900_000, status: 'waiting', nowMs: 20 }),
        ]);
      }
      expect(await claimOne(journal, 'a', 40)).toBeDefined();
      expect(await journal.requests('run_1')).toHaveLength(20);
      await journal.close();
    });

    test('[G4] [AG-8] the runs of a tree hold together what the tree may have open, one that ended holds nothing, and others are not counted', async () => {
      const journal = await openWithRun('run_1');
      const within = { tenant: 't', definition: definition.hash, deadlineAtMs: 1_000_000 };
      const child = (id: string) => ({
        ...newRun(id),
        event: { ...runEvent(within), rootRun: 'run_1', heldTasks: 4 },
      });
      for (const id of ['run_2', 'run_3']) await journal.createRun(child(id));
      await journal.createRun(newRun('run_other'));
      const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1000, limit: 10 });
      const claimOf = (runId: string) => claims.find(claim => claim.runId === runId) as Claim; // claimed just before
      const reserve = (runId: string, least: number, wanted: number, epoch = 1) =>
        journal.reserveTasks(
          { ...claimOf(runId), epoch },
          { rootRun: runId === 'run_other' ? runId : 'run_1', least, wanted, limit: 20 },
        );
      expect(await reserve('run_1', 9, 10)).toBe(10);
      expect(await reserve('run_2', 5, 10), 'as much as is left').toBe(6);
      expect(await reserve('run_3', 5, 10)).toBe(0);
      expect(await reserve('run_3', 5, 10, 0), 'an old claim').toBeUndefined();
      expect(await reserve('run_other', 9, 20)).toBe(20);
      // An append writes what its run holds; the end gives it back.
      const base = { records: [record('x')], atMs: 2, position: 1 };
      const some = { ...progress, heldTasks: 7 };
      await journal.append({ ...base, claim: claimOf('run_1'), progress: some, isFinal: false });
      expect(await reserve('run_3', 5, 10)).toBe(7);
      await journal.append({ ...base, claim: claimOf('run_2'), progress: some, isFinal: true });
      const both = await Promise.all([reserve('run_1', 8, 13), reserve('run_3', 8, 13)]);
      expect(both.toSorted((one, other) => Number(one) - Number(other))).toEqual([0, 13]);
      await journal.close();
    });

    test('a definition stays as long as a run or a workflow names it, or somebody has just put it', async () => {
      const journal = await openWithRun();
      const hours = 3_600_000;
      for (const letter of ['b', 'c', 'd'])
        await journal.putDefinition({ hash: `sha256:${letter}`, document: '{}' }, 1);
      const workflow = {
        namespace: 'n',
        name: 'w',
        version: '1.0.0',
        definition: 'sha256:b',
        createdAtMs: 1,
      };
      await journal.putWorkflow('t', workflow, { most: 10 });
      await journal.putDefinition({ hash: 'sha256:d', document: '{}' }, 2 * hours);
      const left = async () => {
        const all = ['a', 'b', 'c', 'd'].map(letter => journal.getDefinition(`sha256:${letter}`));
        return (await Promise.all(all)).flatMap(found => found?.hash.slice(-1) ?? []).join('');
      };
      const remove = async (beforeMs: number) => {
        const seen: string[] = [];
        for (let after: string | undefined = ''; after !== undefined; ) {
          after = await journal.removeDefinitions({ beforeMs, after, limit: 3 });
          if (after !== undefined) seen.push(after);
        }
        return seen;
      };
      expect(await remove(hours)).toEqual(['sha256:c', 'sha256:d']);
      expect(await left()).toBe('abd');
      const claim = (await claimOne(journal, 'a', 10)) as Claim; // it is the only one
      await journal.append({ claim, position: 1, records: [record('x')], progress, atMs: 2, isFinal: true });
      await journal.removeEnded({ beforeMs: hours, limit: 10 });
      await remove(3 * hours);
      expect(await left()).toBe('b');
      // It can be put again, by the same process too.
      await journal.putDefinition(definition, 3 * hours);
      expect((await journal.createRun(newRun('run_9'))).isNew).toBe(true);
      expect(await left()).toBe('ab');
      await journal.close();
    });

    test('[W11] what an append tells, publishes and subscribes to goes out with it, and not without it', async () => {
      const journal = await openWithRun('run_1');
      await journal.createRun(newRun('run_2'));
      const claims = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1000, limit: 10 });
      const [one, two] = ['run_1', 'run_2'].map(
        id => claims.find(claim => claim.runId === id) as Claim, // both were claimed just before
      );
      if (one === undefined || two === undefined) throw new Error('Not claimed');
      const event = { specversion: '1.0' as const, id: 'e1', source: 's', type: 'made' };
      const base = { position: 1, records: [record('x')], progress, atMs: 2, isFinal: false };
      const tell = [{ runId: 'run_2', kind: 'signal' as const, payload: { n: 1 }, by: 'run:run_1' }];
      const late = { ...base, position: 7, claim: one, tell, publish: [event] };
      expect(await journal.append(late)).toBe(false);
      expect(await journal.requests('run_2')).toEqual([]);
      await journal.append({ ...base, claim: one, tell, publish: [event] });
      await journal.publish('t', event, { by: 'p', atMs: 3 }); // the same event again
      await journal.publish('u', event, { by: 'p', atMs: 3 }); // another tenant's
      await journal.append({ ...base, claim: two, subscribe: ['made'] });
      await journal.publish('t', { ...event, id: 'e2' }, { by: 'p', atMs: 4 });
      const seen = (await journal.requests('run_2')).map(({ kind, payload }) => [kind, payload]);
      expect(seen).toEqual([
        ['signal', { n: 1 }],
        ['event', { event }],
        ['event', { event: { ...event, id: 'e2' } }],
      ]);
      await journal.close();
    });
  });
}
