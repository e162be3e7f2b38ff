import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';

/** Runs that start runs that start runs: how many tasks they have open together is bounded, whatever they do (G4, W8). */

const limit = 60;

onEachStore(
  gateway => {
    const fanOut = (items: string, inside: unknown) => ({
      spread: { for: { each: 'item', in: items }, metadata: { gateway: { concurrency: 50 } }, do: [inside] },
    });
    const submit = async (tasks: unknown, rest = {}): Promise<string> =>
      (await gateway.call('POST', '/v1/runs', { body: { definition: definitionOf(tasks), ...rest } })).body
        .id;
    const runOf = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body;
    const runs = async (): Promise<{ id: string; status: string }[]> =>
      (await gateway.call('GET', '/v1/runs?limit=100')).body.runs;
    /** Tasks that all these runs have open. */
    async function openTasks(): Promise<number> {
      let open = 0;
      for (const { id, status } of await runs()) {
        if (!['paused', 'waiting', 'running'].includes(status)) continue;
        const { body } = await gateway.call('GET', `/v1/runs/${id}/timeline`);
        const spans: { kind: string; ended_at?: string }[] = body.spans;
        open += spans.filter(span => span.kind === 'task' && span.ended_at === undefined).length;
      }
      return open;
    }

    test('[G4] [AG-8] a run that starts itself over and over is paused when its tree is full, a sibling is not, and more lets it go on', async () => {
      const spawner = definitionOf(
        [
          fanOut('${ [range(6)] }', {
            again: { run: { workflow: { namespace: 'test', name: 'spawner', version: '1.0.0', input: {} } } },
          }),
        ],
        { document: { dsl: '1.0.3', namespace: 'test', name: 'spawner', version: '1.0.0' } },
      );
      const stored = await gateway.call('PUT', '/v1/workflows/test/spawner/1.0.0', { body: spawner });
      expect(stored.status, JSON.stringify(stored.body)).toBe(201);
      const body = { workflow: 'test/spawner@1.0.0', input: {} };
      const { body: root } = await gateway.call('POST', '/v1/runs', { body });
      await expect
        .poll(async () => (await runs()).filter(({ status }) => status === 'paused').length, {
          timeout: 60_000,
        })
        .toBeGreaterThan(0);
      // Nothing goes on by itself any more: whoever is not paused waits for one that is.
      await expect
        .poll(
          async () => (await runs()).filter(({ status }) => ['pending', 'running'].includes(status)).length,
          {
            timeout: 60_000,
          },
        )
        .toBe(0);
      expect(await openTasks()).toBeLessThanOrEqual(limit);
      const paused = (await runs()).find(({ status }) => status === 'paused')?.id ?? '';
      expect((await runOf(paused)).pause.error.reason).toBe('run_limit_reached');

      const other = await submit([fanOut('${ [range(20)] }', { one: { set: { a: 1 } } })]);
      await expect.poll(async () => (await runOf(other)).status, { timeout: 60_000 }).toBe('completed');

      await gateway.call('POST', `/v1/runs/${paused}:resume`, { body: { limits: { live_tasks: 200 } } });
      await expect.poll(async () => (await runOf(paused)).pause, { timeout: 60_000 }).toBeUndefined();
      await gateway.call('POST', `/v1/runs/${root.id}:terminate`);
      await expect
        .poll(
          async () =>
            (await runs()).every(({ status }) =>
              ['terminated', 'cancelled', 'completed', 'failed'].includes(status),
            ),
          { timeout: 60_000 },
        )
        .toBe(true);
    }, 120_000);

    test('[W8] [AG-8] a fan-out inside one run is bounded too, and a run that was paused by it and rewound asks anew', async () => {
      const wait = { rest: { wait: { minutes: 5 } } };
      const id = await submit([fanOut('${ [range(50)] }', { both: { do: [wait] } })]);
      await expect.poll(async () => (await runOf(id)).status, { timeout: 60_000 }).toBe('paused');
      expect((await runOf(id)).pause.error.reason).toBe('run_limit_reached');
      expect(await openTasks()).toBeLessThanOrEqual(limit);
      await gateway.call('POST', `/v1/runs/${id}:terminate`);
      await expect.poll(async () => (await runOf(id)).status, { timeout: 60_000 }).toBe('terminated');
      const { status } = await gateway.call('POST', `/v1/runs/${id}:rewind`, {
        body: { task: '/do/0/spread' },
      });
      expect(status).toBeLessThan(300);
      await expect.poll(async () => (await runOf(id)).status, { timeout: 60_000 }).toBe('paused');
      expect(await openTasks()).toBeLessThanOrEqual(limit);
      await gateway.call('POST', `/v1/runs/${id}:terminate`);
    }, 120_000);

    test('[G4] [AG-8] a tree of runs that is moved has together no more tasks open than before', async () => {
      const most = 16;
      const isOpen = ({ status }: { status: string }) =>
        ['pending', 'running', 'waiting', 'paused'].includes(status);
      await expect.poll(async () => (await runs()).filter(isOpen), { timeout: 60_000 }).toEqual([]);
      const waits = fanOut('${ [range(10)] }', { rest: { wait: { minutes: 5 } } });
      const hear = { hear: { listen: { to: { one: { with: { type: 'go' } } } } } };
      const child = definitionOf([hear, waits], {
        document: { dsl: '1.0.3', namespace: 'test', name: 'spreader', version: '1.0.0' },
      });
      await gateway.call('PUT', '/v1/workflows/test/spreader/1.0.0', { body: child });
      const start = { run: { workflow: { namespace: 'test', name: 'spreader', version: '1.0.0' } } };
      const id = await submit([fanOut('${ [range(2)] }', { start })], { limits: { live_tasks: most } });
      const listening = async () =>
        (await runs()).filter(run => run.status === 'waiting' && run.id !== id).map(run => run.id);
      await expect.poll(listening, { timeout: 60_000 }).toHaveLength(2);
      const { body: bundle } = await gateway.call('POST', `/v1/runs/${id}:export`);
      expect(bundle.runs).toHaveLength(3);
      const { body: root } = await gateway.call('POST', '/v1/runs:import', { body: bundle });
      const children = async () => (await listening()).filter(each => each !== root.id);
      await expect.poll(children, { timeout: 60_000 }).toHaveLength(2);
      for (const each of await children())
        await gateway.call('POST', `/v1/runs/${each}/signals/go`, { body: {} });
      const paused = async () => (await runs()).filter(({ status }) => status === 'paused');
      await expect.poll(paused, { timeout: 60_000 }).not.toEqual([]);
      await expect
        .poll(async () => (await runs()).filter(({ status }) => status === 'running'), { timeout: 60_000 })
        .toEqual([]);
      expect((await runOf((await paused())[0]?.id ?? '')).pause.error.reason).toBe('run_limit_reached');
      expect(await openTasks()).toBeLessThanOrEqual(most);
      await gateway.call('POST', `/v1/runs/${root.id}:terminate`);
    }, 120_000);
  },
  { limits: { live_tasks: limit } },
);
