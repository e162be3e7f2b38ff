import { noScopes } from '@strata/shared/identity/scopes.ts';
import { describe, expect, test } from 'vitest';
import type { Claim } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import type { Webhook } from '../src/domain/webhook.ts';
import { progress } from './support/progress.ts';

/** What the outbox of every journal must do. `open` gives a fresh one. */
export function outboxContract(name: string, open: () => Promise<Journal>): void {
  const webhook: Webhook = {
    id: 'webhook_1',
    tenant: 't',
    owner: { tenant: 't', principal: 'p', keyId: undefined, workflows: ['*'] },
    url: 'https://receiver.example/hook',
    description: '',
    types: ['strata.run.*', 'order_made'],
    secrets: [{ sealed: 'x' }],
    isPaused: false,
    createdAtMs: 1,
  };
  const event = (id: string, type = 'strata.run.started') => ({
    specversion: '1.0' as const,
    id,
    source: 's',
    type,
  });

  /** Runs of tenant `t`, each held by a worker. */
  async function openWithRuns(...ids: string[]): Promise<{ journal: Journal; claims: Claim[] }> {
    const journal = await open();
    await journal.putDefinition({ hash: 'sha256:a', document: '{}' }, 1);
    for (const id of ids) {
      await journal.createRun({
        id,
        tenant: 't',
        principal: 'p',
        definition: 'sha256:a',
        namespace: 'n',
        name: 'w',
        version: '1.0.0',
        traceId: '0'.repeat(32),
        idempotencyKey: undefined,
        requestDigest: 'd',
        atMs: 1,
        event: {
          type: 'run-created',
          definition: 'sha256:a',
          workflow: 'n/w:1.0.0',
          input: {},
          identity: { tenant: 't', principal: 'p', keyId: undefined, actors: [], scopes: noScopes, depth: 1 },
          limits: {
            maxSteps: 1,
            maxVisits: 1,
            maxValueBytes: 1,
            maxJournalBytes: 1,
            maxFanOut: 1,
            maxRepeats: 1,
            maxRunMs: 1,
          },
          deadlineAtMs: 1_000_000,
          traceparent: '',
        },
      });
    }
    const held = await journal.claim({ owner: 'a', nowMs: 10, leaseMs: 1_000_000, limit: 10 });
    const claims = ids.map(id => held.find(claim => claim.runId === id) as Claim); // all were due
    return { journal, claims };
  }

  const announce = (journal: Journal, claim: Claim | undefined, position: number, ...ids: string[]) =>
    journal.append({
      claim: claim as Claim, // of a run that was made
      position,
      records: [
        { kind: 'run-started', payload: JSON.stringify({ type: 'run-started', traceparent: '' }), atMs: 2 },
      ],
      progress,
      atMs: 2,
      isFinal: false,
      announce: ids.map(id => (id.includes(' ') ? event(...(id.split(' ') as [string, string])) : event(id))),
    });
  const claim = async (journal: Journal, nowMs: number) =>
    (await journal.outbox.claim({ nowMs, leaseMs: 1000, limit: 10 })).map(({ delivery }) => delivery);
  const idsOf = (deliveries: readonly { event: { id: string } }[]) => deliveries.map(each => each.event.id);

  describe(name, () => {
    test('[W11] an event enters the outbox with its record or not at all, for webhooks of the tenant that want its type', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put(webhook);
      await outbox.put({ ...webhook, id: 'webhook_2', tenant: 'u', types: ['*'] });
      await outbox.put({ ...webhook, id: 'webhook_3', types: ['orderXmade', 'strata.run'] });
      expect(await announce(journal, claims[0], 5, 'late')).toBe(false);
      expect(await announce(journal, claims[0], 1, 'a', 'b order_made', 'c other')).toBe(true);
      expect(await outbox.get('t', 'webhook_1')).toMatchObject({ waiting: 2, dead: 0, failures: 0 });
      expect(await outbox.get('u', 'webhook_2')).toMatchObject({ waiting: 0 });
      expect(await outbox.get('t', 'webhook_3')).toMatchObject({ waiting: 0 });
      expect(await outbox.get('u', 'webhook_1')).toBeUndefined();
      expect((await outbox.list({ tenant: 't', after: 'webhook_1', limit: 5 })).map(({ id }) => id)).toEqual([
        'webhook_3',
      ]);
      const [first] = await claim(journal, 10);
      expect(first).toMatchObject({ runId: 'run_1', workflow: 'n/w', event: event('a'), tries: 1, atMs: 2 });
      await journal.close();
    });

    test('of one run nothing overtakes: the next is given when the one before has arrived, and other runs go on', async () => {
      const { journal, claims } = await openWithRuns('run_1', 'run_2');
      const { outbox } = journal;
      await outbox.put(webhook);
      await announce(journal, claims[0], 1, 'a1', 'a2');
      await announce(journal, claims[1], 1, 'b1');
      const [a1, b1] = await claim(journal, 10);
      expect(idsOf([a1, b1].flatMap(each => each ?? []))).toEqual(['a1', 'b1']);
      expect(await claim(journal, 10)).toEqual([]);
      if (a1 === undefined || b1 === undefined) throw new Error('Nothing was due');
      await outbox.settle(a1, { type: 'failed', problem: 'away', retryAtMs: 5000 }, 20);
      expect(await outbox.get('t', 'webhook_1')).toMatchObject({ failures: 1, problem: 'away' });
      await outbox.settle(b1, { type: 'delivered' }, 20);
      expect(await outbox.get('t', 'webhook_1')).toMatchObject({ failures: 0, problem: undefined });
      expect(await claim(journal, 4999)).toEqual([]);
      const [again] = await claim(journal, 5000);
      expect([again?.event.id, again?.tries]).toEqual(['a1', 2]);
      if (again === undefined) throw new Error('It is due');
      await outbox.settle(a1, { type: 'delivered' }, 30); // by whoever had it before: too late
      expect(await claim(journal, 5001)).toEqual([]);
      await outbox.settle(again, { type: 'delivered' }, 30);
      expect(idsOf(await claim(journal, 5001))).toEqual(['a2']);
      expect(idsOf(await claim(journal, 6000))).toEqual([]);
      expect(idsOf(await claim(journal, 6001))).toEqual(['a2']); // whoever had it has died
      await journal.close();
    });

    test('while a webhook fails, nothing of it is tried before its time', async () => {
      const { journal, claims } = await openWithRuns('run_1', 'run_2');
      const { outbox } = journal;
      await outbox.put(webhook);
      await announce(journal, claims[0], 1, 'a1');
      const [a1] = await claim(journal, 10);
      if (a1 === undefined) throw new Error('It is due');
      await outbox.settle(a1, { type: 'failed', problem: 'away', retryAtMs: 5000 }, 20);
      await announce(journal, claims[1], 1, 'b1');
      expect(await claim(journal, 4000)).toEqual([]);
      expect(idsOf(await claim(journal, 5000)).sort()).toEqual(['a1', 'b1']);
      await journal.close();
    });

    test('what is dead is kept, lets the next of its run go, and is sent again when asked', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put(webhook);
      await announce(journal, claims[0], 1, 'a1', 'a2');
      const [a1] = await claim(journal, 10);
      if (a1 === undefined) throw new Error('It is due');
      await outbox.settle(a1, { type: 'dead', problem: 'gone' }, 100);
      expect(idsOf(await claim(journal, 11))).toEqual(['a2']);
      expect(await outbox.dead({ webhook: 'webhook_1', after: 0, limit: 10 })).toMatchObject([
        { event: { id: 'a1' }, problem: 'gone' },
      ]);
      expect(await outbox.get('t', 'webhook_1')).toMatchObject({ waiting: 1, dead: 1 });
      expect([await outbox.revive('webhook_1'), await outbox.revive('webhook_1')]).toEqual([1, 0]);
      const [again] = await claim(journal, 12);
      expect([again?.event.id, again?.tries]).toEqual(['a1', 1]);
      if (again === undefined) throw new Error('It is due');
      await outbox.settle(again, { type: 'dead', problem: 'gone' }, 100);
      expect(await outbox.removeOld({ beforeMs: 2, limit: 10 })).toBe(0);
      expect(await outbox.removeOld({ beforeMs: 3, limit: 1 })).toBe(1);
      expect(await outbox.removeOld({ beforeMs: 3, limit: 10 })).toBe(1);
      await journal.close();
    });

    test('of a webhook that has more than it may the oldest go, waiting or dead, and of others nothing', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put(webhook);
      await announce(journal, claims[0], 1, 'a1', 'a2', 'a3', 'a4', 'a5');
      const [a1] = await claim(journal, 10);
      if (a1 === undefined) throw new Error('It is due');
      await outbox.settle(a1, { type: 'dead', problem: 'gone' }, 100);
      await outbox.put({ ...webhook, id: 'webhook_2' });
      await announce(journal, claims[0], 2, 'b1', 'b2');
      expect(await outbox.trim({ most: 7, limit: 10 })).toBe(0);
      expect(await outbox.trim({ most: 3, limit: 1 })).toBe(1);
      expect(await outbox.trim({ most: 3, limit: 10 })).toBe(3);
      expect(await outbox.trim({ most: 3, limit: 10 })).toBe(0);
      expect(await outbox.get('t', 'webhook_1')).toMatchObject({ waiting: 3, dead: 0 });
      expect(await outbox.get('t', 'webhook_2')).toMatchObject({ waiting: 2, dead: 0 });
      await journal.close();
    });

    test('a paused webhook collects and is sent nothing; a deleted one is forgotten with what waited', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put({ ...webhook, isPaused: true });
      await announce(journal, claims[0], 1, 'a1');
      expect(await claim(journal, 10)).toEqual([]);
      await outbox.put(webhook);
      expect(idsOf(await claim(journal, 10))).toEqual(['a1']);
      expect([await outbox.delete('u', 'webhook_1'), await outbox.delete('t', 'webhook_1')]).toEqual([
        false,
        true,
      ]);
      expect(await claim(journal, 10_000)).toEqual([]);
      expect(await outbox.get('t', 'webhook_1')).toBeUndefined();
      await journal.close();
    });

    test('what a run tells under the name of the specification too goes to those who ask for that name, not for `*`', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put({ ...webhook, id: 'all', types: ['*'] });
      await outbox.put({ ...webhook, id: 'named', types: ['io.serverlessworkflow.*'] });
      await outbox.put({ ...webhook, id: 'both', types: ['*', 'io.serverlessworkflow.workflow.started.v1'] });
      await announce(journal, claims[0], 1, 'a', 'b io.serverlessworkflow.workflow.started.v1');
      const waiting = async (id: string) => (await outbox.get('t', id))?.waiting;
      expect([await waiting('all'), await waiting('named'), await waiting('both')]).toEqual([1, 1, 2]);
      // What is published has one name: a schedule that any event starts hears of it.
      await outbox.put({ ...webhook, id: 'trigger:t:any', types: ['*'], schedule: 'any' });
      const published = event('e1', 'io.serverlessworkflow.workflow.started.v1');
      await journal.publish('t', published, { by: 'p', atMs: 3 });
      const due = await outbox.claim({ nowMs: 10, leaseMs: 1000, limit: 10 });
      expect(due.filter(({ webhook: { schedule } }) => schedule === 'any')).toHaveLength(1);
      await journal.close();
    });

    test('a trigger is told of what is published, once, by whomever; a webhook of what runs announce', async () => {
      const { journal, claims } = await openWithRuns('run_1');
      const { outbox } = journal;
      await outbox.put({ ...webhook, types: ['*'] });
      await outbox.put({ ...webhook, id: 'trigger:t:x', types: ['made'], schedule: 'x' });
      await announce(journal, claims[0], 1, 'a1 made');
      const published = event('e1', 'made');
      for (const id of ['p', 'q']) await journal.publish('t', published, { by: id, atMs: 3 });
      await journal.publish('u', event('e2', 'made'), { by: 'p', atMs: 3 });
      await journal.publish('t', event('e3', 'other'), { by: 'p', atMs: 3 });
      const due = await outbox.claim({ nowMs: 10, leaseMs: 1000, limit: 10 });
      const told = due.map(({ webhook: { id, schedule }, delivery }) => [id, schedule, delivery.event.id]);
      expect(told.sort()).toEqual([
        ['trigger:t:x', 'x', 'e1'],
        ['webhook_1', undefined, 'a1'],
      ]);
      const listed = await outbox.list({ tenant: 't', after: undefined, limit: 5 });
      expect(listed.map(({ id }) => id)).toEqual(['webhook_1']);
      await journal.close();
    });

    test('no delivery is given to two who ask at the same moment', async () => {
      const { journal, claims } = await openWithRuns('run_1', 'run_2', 'run_3', 'run_4');
      await journal.outbox.put(webhook);
      for (const [index, each] of claims.entries()) await announce(journal, each, 1, `e${index}`);
      const taken = await Promise.all(Array.from({ length: 6 }, () => claim(journal, 10)));
      expect(idsOf(taken.flat()).sort()).toEqual(['e0', 'e1', 'e2', 'e3']);
      await journal.close();
    });
  });
}
