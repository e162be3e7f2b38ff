import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { costOf, type PriceList } from '@strata/shared/money/price.ts';
import { spenderOf, subjectsOf } from '@strata/shared/money/spender.ts';
import type { Usage } from '@strata/shared/money/usage.ts';
import { worstCaseCost } from '@strata/shared/money/worst-case.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';

/**
 * What one request costs in CPU before and after its upstream: key, scope, a policy in CEL, limits, budgets, ledger entry and its booking, embedded (SQLite, limits in
 * the process). Batches of requests; the booking of a batch belongs to it, with the disk's part of it.
 */
export async function benchHotPath({
  rounds,
  requests,
}: {
  rounds: number;
  requests: number;
}): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'strata-hot-path-'));
  const deps = await createTestDeps({
    dataDir,
    config: {
      identity: { policies: [guestsOnSmall] },
      ledger: { flush_ms: 200 },
      budgets: [
        { name: 'organisation', subject: 'organisation:default', limit_usd: '1000000', window: 'month' },
        { name: 'key', subject: 'key:*', limit_usd: '1000000', window: 'day' },
      ],
      limits: [
        { name: 'requests', subject: 'key:*', unit: 'requests', amount: 1_000_000_000, per: 'minute' },
        {
          name: 'tokens',
          subject: 'model:chat',
          unit: 'output_tokens',
          amount: 1_000_000_000_000,
          per: 'minute',
        },
        { name: 'room', subject: 'principal:*', unit: 'concurrency', amount: 1000 },
      ],
    },
  });
  const headers = { authorization: `Bearer ${deps.userKey}` };
  let serial = 0;

  async function once(): Promise<void> {
    const caller = await deps.authenticate(headers);
    if (!matchesScope(caller.scopes.models, 'chat'))
      throw new Error('the key of the bench may use every model');
    deps.policy.require(caller, { kind: 'model', name: 'chat', attributes }, 'openai-chat');
    const about = [{ kind: 'model', id: 'chat' } as const];
    const pass = await deps.limiter.admit({
      tenant: caller.tenant,
      subjects: [...subjectsOf(caller), ...about],
      amounts: () => ({ requests: 1, output_tokens: 100 }),
    });
    const reservation = await deps.budgets.reserve(spenderOf(caller, about), () =>
      worstCaseCost(prices, { input: 2000, output: 100 }),
    );
    const costNanoUsd = costOf(usage, prices) ?? 0n;
    pass.finish({ output_tokens: usage.output });
    deps.ledger.record({
      id: `bench_${++serial}`,
      atMs: Date.now(),
      durationMs: 1,
      gateway: 'ai-gateway',
      ...caller,
      runId: undefined,
      taskId: undefined,
      alias: 'chat',
      provider: 'main',
      model: 'small',
      outcome: 'answered',
      usage,
      usageSource: 'reported',
      costNanoUsd,
      priceVersion: prices.version,
      charges: reservation?.settle(costNanoUsd) ?? [],
    });
  }

  const batch = 500;
  for (let warm = 0; warm < batch * 4; warm++) await once();
  await deps.ledger.flush();
  const microseconds: number[] = [];
  for (let round = 0; round < rounds * Math.max(1, Math.round(requests / batch / 5)); round++) {
    const before = process.cpuUsage();
    for (let count = 0; count < batch; count++) await once();
    await deps.ledger.flush();
    const { user, system } = process.cpuUsage(before);
    microseconds.push((user + system) / batch);
  }
  await deps.close();
  rmSync(dataDir, { recursive: true, force: true });
  microseconds.sort((left, right) => left - right);
  const at = (part: number) => (microseconds[Math.floor((microseconds.length - 1) * part)] ?? 0).toFixed(1);
  return [
    '| | CPU µs a request, p50 of batches | fastest batch | slowest batch |',
    '|---|---|---|---|',
    `| key, scope, policy, 3 limits, 2 budgets, ledger | ${at(0.5)} | ${at(0)} | ${at(1)} |`,
  ].join('\n');
}

const attributes = { provider: 'main', model: 'small' };
const guestsOnSmall = {
  name: 'no-large-models-for-guests',
  effect: 'deny',
  when: 'resource.attributes.model == "large" && principal.team == "guests"',
};

const prices: PriceList = {
  version: 'bench',
  base: { input: 1_000_000_000n, cacheRead: 100_000_000n, output: 2_000_000_000n },
  tiers: [],
};
const usage: Usage = { input: 900, cacheRead: 100, cacheWrite: 0, cacheWrite1h: 0, output: 80, reasoning: 0 };
