import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { startThreeGateways, type ThreeGateways } from './three-gateways.ts';

/** Fifty agents at once under one dollar, over real gateways: the budget holds, the run waits for more, and nothing is paid for twice. */

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

let stack: ThreeGateways | undefined;
let simulator: Simulator | undefined;
afterEach(async () => {
  await stack?.close();
  await simulator?.close();
});

const fanOut = 50;
const dollar = 1_000_000_000n;
const maxTokens = 100;
/** So dear that some twenty answers cost the dollar. */
const prices = { input: '1', output: '500' };

const definition = {
  document: { dsl: '1.0.3', namespace: 'test', name: 'fan-out', version: '1.0.0' },
  do: [
    {
      all: {
        for: { each: 'item', in: `\${ [range(${fanOut})] }` },
        metadata: { gateway: { concurrency: fanOut } },
        do: [
          {
            ask: {
              call: 'agent',
              with: {
                agent: 'helper',
                model: 'dear',
                maxTokens,
                input: `\${ "[[words: 90]] Number " + ($item | tostring) }`,
              },
            },
          },
        ],
      },
    },
  ],
};

async function start(store: string, agent: Record<string, unknown>): Promise<ThreeGateways> {
  simulator = await startSimulator({ ttftMs: 20 });
  const url = store === 'PostgreSQL' && !isMissing(postgres) ? await postgres.createDatabase() : undefined;
  stack = await startThreeGateways({
    shared: url === undefined ? {} : { store: { url } },
    ai: {
      providers: {
        main: {
          type: 'openai-compatible',
          base_url: `${simulator.url}/openai/v1`,
          api_key: 'simulator',
          allow_private: true,
        },
      },
      models: { dear: { targets: [{ provider: 'main', model: 'gpt-5-mini', prices }] } },
    },
    agent,
  });
  return stack;
}

/** Looks at the budget all the while: at no moment is more spent and given out than it has. */
function watch({ deps }: ThreeGateways, budgetId: string) {
  const seen = { looks: 0, violations: 0, isStopped: false };
  const done = (async () => {
    while (!seen.isStopped) {
      const totals = await deps['ai-gateway'].budgets.store.totals(budgetId);
      if (totals !== undefined) {
        seen.looks++;
        const out = totals.spentNanoUsd + totals.openNanoUsd + totals.lostNanoUsd;
        if (out > totals.limitNanoUsd) seen.violations++;
      }
      await new Promise(setImmediate);
    }
  })();
  return async () => {
    seen.isStopped = true;
    await done;
    return seen;
  };
}

async function spentOf({ deps }: ThreeGateways): Promise<bigint> {
  await deps['ai-gateway'].ledger.flush();
  const rows = await deps['ai-gateway'].sql.db.selectFrom('usage_ledger').selectAll().execute();
  return rows.reduce((sum, row) => sum + BigInt(row.cost_nano_usd ?? 0), 0n);
}

const statusOf = async (gateways: ThreeGateways, id: string) =>
  (await gateways.call('GET', `/v1/runs/${id}`)).body.status;

async function admin(gateways: ThreeGateways, method: string, path: string, body?: unknown) {
  const { 'agent-gateway': url } = gateways.urls;
  const { adminKey } = gateways.deps['agent-gateway'];
  const current = method === 'PATCH' ? await gateways.call('GET', path, { key: adminKey }) : undefined;
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${adminKey}`,
      'content-type': 'application/json',
      ...(current && { 'if-match': current.headers.get('etag') ?? '' }),
    },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { id: string };
  expect(response.ok, JSON.stringify(answer)).toBe(true);
  return answer;
}

/** Whose budget it is, and how it is topped up. */
const ways = {
  'a budget of the team': {
    agent: {},
    begin: (gateways: ThreeGateways) =>
      admin(gateways, 'POST', '/admin/v1/budgets', {
        subject: 'team:default',
        limit_usd: '1',
        window: { type: 'total' },
      }).then(({ id }) => id),
    budgetOf: (_runId: string, made: string | undefined) => made ?? '',
    subjectOf: () => 'team:default',
    async topUp(gateways: ThreeGateways, runId: string, made: string | undefined) {
      await admin(gateways, 'PATCH', `/admin/v1/budgets/${made}`, { limit_usd: '10' });
      await gateways.call('POST', `/v1/runs/${runId}:resume`, { body: {} });
    },
  },
  'the budget of the run itself': {
    agent: { limits: { cost_usd: '1' } },
    begin: async () => undefined,
    budgetOf: (runId: string) => `run:${runId}`,
    subjectOf: (runId: string) => `run:${runId}`,
    async topUp({ call, deps }: ThreeGateways, runId: string) {
      const key = await deps['agent-gateway'].createKey({ roles: ['operator'] });
      await call('POST', `/v1/runs/${runId}:resume`, { body: { limits: { cost_usd: '10' } }, key });
    },
  },
};

for (const store of ['SQLite', 'PostgreSQL']) {
  describe.skipIf(store === 'PostgreSQL' && isMissing(postgres))(`on ${store}`, () => {
    for (const [name, way] of Object.entries(ways)) {
      test(`[$-1] [AG-1] fifty agents at once under one dollar: ${name} holds, the run pauses, a top-up lets it go on`, async () => {
        const gateways = await start(store, way.agent);
        const made = await way.begin(gateways);
        const submitted = await gateways.call('POST', '/v1/runs', { body: { definition, input: {} } });
        const { id } = submitted.body;
        const stop = watch(gateways, way.budgetOf(id, made));
        await expect.poll(() => statusOf(gateways, id), { timeout: 60_000 }).toBe('paused');
        await expect
          .poll(async () => (await gateways.call('GET', `/v1/runs/${id}`)).body.pause?.error, {
            timeout: 20_000,
          })
          .toMatchObject({ status: 402, budget: { subject: way.subjectOf(id) } });
        // Whatever was under way when the first was refused has ended by then.
        await expect
          .poll(() => gateways.deps['agent-gateway'].live.size, { timeout: 20_000 })
          .toBeLessThanOrEqual(1);
        const spent = await spentOf(gateways);
        const paid = simulator?.requests.length ?? 0;
        expect(spent).toBeLessThanOrEqual(dollar);
        expect(spent).toBeGreaterThan(dollar / 2n); // the budget was used, not guarded to death
        expect(paid).toBeLessThan(fanOut);

        await way.topUp(gateways, id, made);
        await expect.poll(() => statusOf(gateways, id), { timeout: 60_000 }).toBe('completed');
        const seen = await stop();
        expect(seen.violations).toBe(0);
        expect(seen.looks).toBeGreaterThan(3);
        expect(simulator?.requests).toHaveLength(fanOut); // each answer was paid for once
        const run = await gateways.call('GET', `/v1/runs/${id}`);
        expect(run.body.output).toHaveLength(fanOut);
        expect(run.body.cost.nano_usd).toBe(String(await spentOf(gateways)));
      });
    }
  });
}
