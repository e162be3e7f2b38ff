import { systemClock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { ledgerSection } from '@strata/shared/money/money-section.ts';
import { openMoney } from '@strata/shared/money/open-money.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sized } from '@strata/shared/testing/size.ts';
import pino from 'pino';
import { afterAll, expect, test } from 'vitest';
import { budgetOf } from './contracts/budget-contract.ts';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

const outageMs = sized({ ci: 5000, soak: 60_000 });
/** The errors by which a store says that it is away: nothing was dispatched. */
const awayKinds = new Set(['overloaded', 'timeout', 'internal']);

test.skipIf(isMissing(postgres))(
  '[$-1] [$-3] [F14] PostgreSQL is stopped for 5 s: nothing is let through that is not set aside, and nothing that was settled is lost',
  async () => {
    if (isMissing(postgres)) return;
    const sql = await openSqlStore<MoneySchema>({
      url: await postgres.createDatabase(),
      config: storeSection.parse({ acquire_timeout_ms: 2000 }),
      migrations: [moneyMigrations],
      clock: systemClock,
    });
    const money = await openMoney({
      sql,
      clock: systemClock,
      log: pino({ level: 'silent' }),
      config: { ledger: ledgerSection.parse({ flush_ms: 50 }), budgets: undefined },
    });
    const { store } = money.budgets;
    await store.create(budgetOf({ limitNanoUsd: 1_000_000_000n, window: { type: 'total' } }));
    const spender = { tenant: 'acme', subjects: [{ kind: 'team', id: 'support' } as const] };
    let settled = 0n;
    let count = 0;
    const counts = { during: 0, away: 0 };
    let isAway = false;
    const call = async () => {
      try {
        const reservation = await money.budgets.reserve(spender, () => 10_000n);
        expect(reservation).toBeDefined();
        if (isAway) counts.during++;
        settled += 700n;
        money.ledger.record({
          id: `call_${++count}`,
          atMs: Date.now(),
          durationMs: 1,
          gateway: 'ai-gateway',
          tenant: 'acme',
          principal: 'user:ada',
          keyId: undefined,
          runId: undefined,
          taskId: undefined,
          alias: 'chat',
          provider: 'main',
          model: 'small',
          outcome: 'answered',
          usage: undefined,
          usageSource: 'reported',
          costNanoUsd: 700n,
          priceVersion: 'test',
          charges: reservation?.settle(700n) ?? [],
        });
      } catch (error) {
        if (!(error instanceof GatewayError) || !awayKinds.has(error.kind)) throw error;
        counts.away++;
      }
    };
    let isOver = false;
    const load = (async () => {
      while (!isOver) {
        await call();
        await systemClock.sleep(2);
      }
    })();
    await systemClock.sleep(300);
    isAway = true;
    await postgres.kill();
    await systemClock.sleep(outageMs);
    await postgres.restart();
    isAway = false;
    await expect
      .poll(
        () =>
          money.ledger.flush().then(
            () => 'stored',
            () => 'away',
          ),
        { timeout: 30_000, interval: 100 },
      )
      .toBe('stored');
    isOver = true;
    await load;
    await money.ledger.flush();
    const { sum, entries } = await sql.db
      .selectFrom('usage_ledger')
      .select(({ fn }) => [fn.sum('cost_nano_usd').as('sum'), fn.countAll().as('entries')])
      .executeTakeFirstOrThrow();
    expect([BigInt(sum), Number(entries)]).toEqual([settled, count]);
    expect(await store.totals('team')).toMatchObject({ spentNanoUsd: settled, lostNanoUsd: 0n });
    expect(counts.during + counts.away).toBeGreaterThan(0);
    await money.close();
    expect(await store.totals('team')).toMatchObject({
      spentNanoUsd: settled,
      openNanoUsd: 0n,
      lostNanoUsd: 0n,
    });
    await sql.close();
  },
);
