import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseFairly, type DueRun, rankOf } from '../src/domain/queue.ts';

/** Which of the runs that are due a worker takes: for any number of tenants, runs, priorities and times. */

const tenants = ['a', 'b', 'c', 'd'] as const;
const seed = Number(process.env.STRATA_FAIR_SEED ?? Date.now() % 1_000_000);

const dueRuns: fc.Arbitrary<DueRun[]> = fc
  .array(
    fc.record({
      tenant: fc.constantFrom(...tenants),
      priority: fc.integer({ min: 0, max: 9 }),
      wakeAtMs: fc.integer({ min: 0, max: 2_000_000 }),
    }),
    { maxLength: 60 },
  )
  .map(runs => runs.map((run, index) => ({ id: `run_${index}`, ...run })));
const given = fc.record({
  due: dueRuns,
  active: fc.dictionary(fc.constantFrom(...tenants), fc.integer({ min: 0, max: 20 })),
  limit: fc.integer({ min: 0, max: 70 }),
});

const rank = ({ wakeAtMs: atMs, priority }: DueRun) => rankOf({ atMs, priority });

test(`[AG-7] [F76] [F87] no place is left empty, nobody who waits has less than another got in turn, and the most urgent of a tenant goes first (seed ${seed})`, () => {
  fc.assert(
    fc.property(given, ({ due, active, limit }) => {
      const chosen = chooseFairly(due, { active, limit });
      expect(chosen).toHaveLength(Math.min(limit, due.length));
      expect(new Set(chosen.map(({ id }) => id)).size).toBe(chosen.length);
      const left = due.filter(run => !chosen.includes(run));
      const takenOf = (tenant: string) => chosen.filter(run => run.tenant === tenant).length;
      for (const tenant of tenants) {
        const own = left.filter(run => run.tenant === tenant);
        if (own.length === 0) continue;
        const share = (active[tenant] ?? 0) + takenOf(tenant);
        for (const other of tenants) {
          // What the other one had before cannot be taken from it; what it was given now was its turn.
          if (other !== tenant && takenOf(other) > 0)
            expect((active[other] ?? 0) + takenOf(other), `${other} before ${tenant}`).toBeLessThanOrEqual(
              share + 1,
            );
        }
        const last = Math.max(
          ...chosen.filter(run => run.tenant === tenant).map(rank),
          Number.NEGATIVE_INFINITY,
        );
        expect(Math.min(...own.map(rank))).toBeGreaterThanOrEqual(last);
      }
    }),
    { seed, numRuns: 5000 },
  );
});

test(`[AG-7] [W10] nothing waits for ever: whatever keeps coming, a run that is due is taken when it is older than a minute for each step of priority (seed ${seed})`, () => {
  fc.assert(
    fc.property(dueRuns, fc.constantFrom(...tenants), (due, tenant) => {
      const old: DueRun = { id: 'old', tenant, priority: 0, wakeAtMs: -10 * 60_000 };
      // Of its tenant it is the first, and each tenant has a turn.
      const chosen = chooseFairly([...due, old], { active: {}, limit: tenants.length });
      expect(chosen.map(({ id }) => id)).toContain('old');
    }),
    { seed, numRuns: 5000 },
  );
});
