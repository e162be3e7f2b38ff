import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { ledgerSection } from '@strata/shared/money/money-section.ts';
import type { LedgerEntry } from '@strata/shared/money/usage-entry.ts';
import { usageGroups } from '@strata/shared/money/usage-groups.ts';
import { createUsageLedger } from '@strata/shared/money/usage-ledger.ts';
import { reportUsage, type UsageQuery } from '@strata/shared/money/usage-report.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sized } from '@strata/shared/testing/size.ts';
import pino from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { entriesOfDay, load, volumeDays } from './support/usage-volume.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-volume-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

const entriesADay = Math.ceil(sized({ ci: 20_000, soak: 10_000_000 }) / volumeDays);
/** A question over a month takes no longer than this, however many entries there are. Generous in CI, whose machine does other things. */
const maxMs = sized({ ci: 1000, soak: 200 });
/** Of runs since some moment in a day: half a day of entries is read at each edge. */
const maxOfRunsMs = sized({ ci: 1000, soak: 600 });
/** Of so many the fastest is that of an idle machine, as near as a busy one can tell. */
const rounds = sized({ ci: 3, soak: 10 });

/** September 2026: as UTC counts it, as Berlin does, whose days begin at other hours, and thirty days up to some moment. */
const months = {
  UTC: { fromMs: Date.UTC(2026, 8, 1), toMs: Date.UTC(2026, 9, 1) },
  Berlin: { fromMs: Date.parse('2026-09-01T00:00+02:00'), toMs: Date.parse('2026-10-01T00:00+02:00') },
  'thirty days': { fromMs: Date.parse('2026-09-10T11:47:13Z'), toMs: Date.parse('2026-10-10T11:47:13Z') },
};
type Month = keyof typeof months;

/** What support spent on Claude. */
const isAsked = ({ team, model }: LedgerEntry) => team === 'support' && model.startsWith('claude');
const where = { team: 'support', model: 'claude*' };
const questions: Record<string, Omit<UsageQuery, 'fromMs' | 'toMs'>> = {
  ...Object.fromEntries(usageGroups.map(group => [`by ${group}`, { by: [group], tenant: 'acme', where }])),
  'by person and day': { by: ['day', 'principal'], tenant: 'acme', where },
  'by team, of the installation': { by: ['tenant', 'team'], where },
};

function volumeTests(name: string, emptyDatabase: () => Promise<string>, coresMs: () => number): void {
  const open = async () =>
    openSqlStore<MoneySchema>({
      url: await emptyDatabase(),
      config: storeSection.parse({ statement_timeout_ms: 600_000 }), // of a day of entries
      migrations: [moneyMigrations],
      clock: systemClock,
    });

  describe(`much usage on ${name}`, () => {
    test('[$-3] what is loaded for this test is, row for row, what the ledger would have stored', async () => {
      const [loaded, written] = await Promise.all([open(), open()]);
      const ledger = createUsageLedger({
        sql: written,
        clock: systemClock,
        log: pino({ level: 'silent' }),
        config: ledgerSection.parse({}),
      });
      for (const day of [0, 1]) {
        const entries = [...entriesOfDay(day, 1300)];
        await load(loaded, entries);
        for (const [index, entry] of entries.entries()) {
          ledger.record(entry);
          if (index % 100 === 0) await ledger.flush();
        }
      }
      await ledger.close();
      expect(await rowsOf(loaded)).toEqual(await rowsOf(written));
      await Promise.all([loaded.close(), written.close()]);
    });

    test(`[$-3] what a team spent on a family of models last month is answered at once, and exactly, from ${entriesADay * volumeDays} entries`, async () => {
      const store = await open();
      const expected = { UTC: 0n, Berlin: 0n, 'thirty days': 0n };
      const expectedByTag = { ...expected };
      for (let day = 0; day < volumeDays; day++) {
        const entries = [...entriesOfDay(day, entriesADay)];
        await load(store, entries);
        for (const month of Object.keys(months) as Month[]) {
          expected[month] += spentIn(months[month], entries);
          expectedByTag[month] += spentIn(months[month], entries, ({ tags }) =>
            Math.max(1, tags?.length ?? 0),
          );
        }
      }
      for (const [question, query] of Object.entries(questions)) {
        for (const month of Object.keys(months) as Month[]) {
          const ask = () => reportUsage(store, { ...query, ...months[month] });
          const totals = await ask(); // now the file's pages are in memory
          expect(totals.reduce((sum, total) => sum + total.costNanoUsd, 0n)).toBe(
            (query.by.includes('tag') ? expectedByTag : expected)[month],
          );
          const times = await timesOf(ask, coresMs);
          process.stdout.write(
            `${name}, ${entriesADay * volumeDays} entries, ${question}, ${month}: ${times[0]?.toFixed(1)} to ${times.at(-1)?.toFixed(1)} ms\n`,
          );
          const isOfRuns = question === 'by run' && month === 'thirty days';
          expect.soft(times[0], `${question}, ${month}`).toBeLessThan(isOfRuns ? maxOfRunsMs : maxMs);
        }
      }
      await store.close();
    });
  });
}

function spentIn(
  { fromMs, toMs }: (typeof months)[Month],
  entries: readonly LedgerEntry[],
  times: (entry: LedgerEntry) => number = () => 1,
): bigint {
  let sum = 0n;
  for (const entry of entries)
    if (isAsked(entry) && entry.atMs >= fromMs && entry.atMs < toMs)
      sum += (entry.costNanoUsd ?? 0n) * BigInt(times(entry));
  return sum;
}

/** In milliseconds, the fastest first: by the clock, or by what it took of the cores where the machine had others to serve. */
async function timesOf(work: () => Promise<unknown>, coresMs: () => number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [beganMs, coresBeganMs] = [performance.now(), coresMs()];
    await work();
    times.push(Math.min(performance.now() - beganMs, coresMs() - coresBeganMs));
  }
  return times.sort((left, right) => left - right);
}

function ownCoresMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Whether `/proc` names the children of a process: Linux has them so only where it was built with CONFIG_PROC_CHILDREN. */
const knowsChildren = existsSync(childrenOf(process.pid));

function childrenOf(pid: number): string {
  return `/proc/${pid}/task/${pid}/children`;
}

/** A tick of `/proc`, in which Linux tells what a process took. */
const tickMs = 10;

/** What a server took with all its processes, those that have ended included (proc_pid_stat(5): utime, stime, and of children that ended). */
function serverCoresMs(pid: number): number {
  const children = readFileSync(childrenOf(pid), 'utf8').trim().split(' ').map(Number);
  const ticksOf = (each: number, fields: number) =>
    statOf(each)
      .slice(11, 11 + fields)
      .reduce((sum, ticks) => sum + Number(ticks), 0);
  return tickMs * children.reduce((sum, child) => sum + ticksOf(child, 2), ticksOf(pid, 4));
}

/** The fields after the name, which may hold spaces; none of a process that has just ended. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

async function rowsOf({ db }: SqlStore<MoneySchema>) {
  return {
    entries: await db.selectFrom('usage_ledger').selectAll().orderBy('id').execute(),
    sums: await db.selectFrom('usage_rollups').selectAll().orderBy('id').execute(),
  };
}

let files = 0;
volumeTests('SQLite', async () => `file:${join(folder, `${++files}.sqlite`)}`, ownCoresMs);
if (isMissing(postgres)) test.skip(`much usage on PostgreSQL: ${postgres.missing}`, () => {});
else
  volumeTests(
    'PostgreSQL',
    () => postgres.createDatabase(),
    knowsChildren ? () => ownCoresMs() + serverCoresMs(postgres.pid) : () => performance.now(),
  );
