import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Plan, RequestFacts } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import OpenAI, { toFile } from 'openai';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startGateway } from './harness.ts';
import { openGatewayPlaces } from './support/gateway-processes.ts';

/** A process is killed while it begins a batch; another one finds out what became of it. */

const armFaults = join(import.meta.dirname, '../../shared/src/testing/arm-faults.ts');
const prices = { input: '2', output: '8', service_tiers: { batch: { multiplier: '0.5' } } };

let folder: string;
let upstream: FakeUpstream;
const batches: Record<string, unknown>[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-batch-kill-'));
  batches.length = 0;
  upstream = await startFakeUpstream({ plan: answerTo });
});
afterEach(async () => {
  await upstream.close();
  rmSync(folder, { recursive: true, force: true });
});

function answerTo(request: RequestFacts): Plan {
  const [, , kind = '', id = ''] = (request.path.split('?')[0] ?? '').split('/');
  if (kind === 'files') return jsonPlan({ id: 'file-1', object: 'file', purpose: 'batch' });
  if (request.method === 'GET') {
    return jsonPlan(id === '' ? { data: batches } : batches.find(batch => batch.id === id));
  }
  const made = {
    ...{ id: `batch_${batches.length + 1}`, object: 'batch', status: 'in_progress' },
    ...{ created_at: Math.floor(Date.now() / 1000), ...(request.json() as object) },
  };
  batches.push(made);
  return jsonPlan(made);
}

const section = () => ({
  providers: {
    main: { type: 'openai-compatible', api_key: 'x', base_url: `${upstream.url}/v1`, allow_private: true },
  },
  models: { small: { targets: [{ provider: 'main', model: 'gpt-small', prices }] } },
});
const line = {
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'small', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] },
};

test.each([
  ['before anything is set aside', 'batch.intended', { asked: 0, isFound: false }],
  ['when it is set aside', 'batch.held', { asked: 0, isFound: false }],
  ['when the provider has begun it', 'batch.begun', { asked: 1, isFound: true }],
  ['when it is kept', 'batch.kept', { asked: 1, isFound: true }],
])(
  '[$-1] [$-3] killed %s: nothing stays set aside, and no batch is lost',
  async (_name, point, { asked, isFound }) => {
    const shared = {
      store: { url: `file:${join(folder, 'shared.sqlite')}`, busy_timeout_ms: 30_000 },
      budgets: [
        { name: 'all', tenant: 'default', window: 'total', subject: 'principal:tester', limit_usd: '1' },
      ],
    };
    const gateways = await openGatewayPlaces({
      count: 1,
      config: { ...shared, ai_gateway: { ...section(), listen: { port: 0 } } },
      environmentOf: () => ({ NODE_OPTIONS: `--import ${armFaults}`, STRATA_FAULTS: `${point}#1=crash` }),
    });
    const [doomed = expect.fail()] = gateways.places;
    await doomed.start();
    const sdk = new OpenAI({ baseURL: `${doomed.url}/v1`, apiKey: gateways.key, maxRetries: 0 });
    const file = await toFile(Buffer.from(`${JSON.stringify(line)}\n`), 'batch.jsonl');
    const { id: input_file_id } = await sdk.files.create({ file, purpose: 'batch' });
    const begin = { input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
    await expect(sdk.batches.create(begin)).rejects.toThrow();
    expect(batches).toHaveLength(asked);
    await gateways.close();

    const clock = createManualClock(Date.now());
    const gateway = await startGateway({ section: section(), shared, clock, keepsRecords: false });
    const { sql } = gateway.deps;
    const rows = () =>
      sql.db.selectFrom('provider_objects').select(['kind', 'id']).where('kind', '!=', 'file').execute();
    const open = async () => (await gateway.deps.budgets.store.totals('config:all'))?.openNanoUsd;
    const isHeld = point !== 'batch.intended';
    expect((await rows()).some(({ kind }) => kind === 'intent')).toBe(true);
    expect(((await open()) ?? 0n) > 0n).toBe(isHeld);
    // Too early to tell: whoever began it may still be at it.
    await clock.advance(61_000);
    await expect.poll(async () => (await rows()).some(({ kind }) => kind === 'intent')).toBe(true);
    await clock.advance(900_000);
    const kept = isFound ? [{ kind: 'batch', id: 'batch_1' }] : [];
    await expect.poll(() => clock.advance(61_000).then(rows), { timeout: 20_000 }).toEqual(kept);
    expect(((await open()) ?? 0n) > 0n).toBe(isFound);
    if (isFound) {
      Object.assign(batches[0] ?? {}, { status: 'cancelled' });
      await expect.poll(() => clock.advance(61_000).then(open), { timeout: 20_000 }).toBe(0n);
    }
    await gateway.close();
  },
);
