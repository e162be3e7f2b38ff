import { sized } from './size.ts';

type Runs = Parameters<typeof sized>[0];
type Store = 'memory' | 'SQLite' | 'PostgreSQL' | 'Redis';

/** How many random histories each model of money and identity is played through, on each store that it has. */
export const modelSizes = {
  /** Reservations inside a grant, and the account that it was drawn from. */
  purse: { memory: { ci: 40_000, soak: 1_000_000 } },
  /** Commands to the store of budgets: `$-1` after each, and equal answers from every store. */
  budgets: {
    memory: { ci: 2000, soak: 50_000 },
    SQLite: { ci: 40, soak: 1000 },
    PostgreSQL: { ci: 15, soak: 500 },
  },
  /** Requests, ends and kills of three processes. */
  processes: { memory: { ci: 3000, soak: 100_000 } },
  /** Requests and waits against a limit; equal answers from both stores. */
  limits: { memory: { ci: 60_000, soak: 1_000_000 }, Redis: { ci: 150, soak: 3000 } },
  /** Entries, and reports grouped by whatever there is. */
  ledger: { SQLite: { ci: 25, soak: 500 }, PostgreSQL: { ci: 25, soak: 500 } },
  /** Chains of hops; tokens signed and read by gateways that share a store. */
  envelopes: {
    memory: { ci: 25_000, soak: 1_000_000 },
    SQLite: { ci: 200, soak: 10_000 },
    PostgreSQL: { ci: 100, soak: 5000 },
  },
} as const satisfies Record<string, Partial<Record<Store, Runs>>>;

type Model = keyof typeof modelSizes;

/** For `fc.assert`. Says what is run and with which seed; `STRATA_SEED` runs it again. */
export function modelRuns<Name extends Model>(
  model: Name,
  store: keyof (typeof modelSizes)[Name] & Store,
): { readonly numRuns: number; readonly seed: number } {
  const sizes: Partial<Record<Store, Runs>> = modelSizes[model];
  const numRuns = sized(sizes[store] ?? { ci: 0, soak: 0 });
  const seed = Number(process.env.STRATA_SEED ?? Date.now() % 2 ** 31);
  process.stdout.write(`model of ${model} on ${store}: ${numRuns} runs, STRATA_SEED=${seed}\n`);
  return { numRuns, seed };
}
