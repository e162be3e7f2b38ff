import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LedgerEntry, storableEntries } from './usage-entry.ts';
import { hourMs, rollUp } from './usage-rollups.ts';

const startMs = Date.UTC(2026, 0, 31, 22);

const entries = fc.array(
  fc.record({
    atMs: fc.constantFrom(startMs, startMs + 5, startMs + hourMs, startMs + 3 * hourMs),
    gateway: fc.constantFrom<LedgerEntry['gateway'][]>('ai-gateway', 'mcp-gateway'),
    principal: fc.constantFrom('ann', 'ben\0'),
    runId: fc.constantFrom(undefined, 'run_1'),
    tags: fc.constantFrom<(readonly string[])[]>([], ['a'], ['a', 'b']),
    costNanoUsd: fc.constantFrom(undefined, 0n, 7n, 10n ** 18n),
    input: fc.constantFrom(0, 3),
  }),
  { maxLength: 12 },
);

test('a batch is rolled up as its entries are one by one, in whatever order they come', () => {
  fc.assert(
    fc.property(entries, drawn => {
      const storable = storableEntries(drawn.map(toEntry));
      const singly = new Map<
        string,
        { requests: number; input: number; cost: bigint; withoutCost: number }
      >();
      for (const row of storable.flatMap(entry => rollUp([entry]))) {
        const sum = singly.get(row.id) ?? { requests: 0, input: 0, cost: 0n, withoutCost: 0 };
        sum.requests += row.requests;
        sum.input += row.input;
        sum.cost += BigInt(row.cost_nano_usd);
        sum.withoutCost += row.without_cost;
        singly.set(row.id, sum);
      }
      const together = rollUp(storable).map(row => {
        const { requests, input, cost_nano_usd: cost, without_cost: withoutCost } = row;
        return [row.id, { requests, input, cost: BigInt(cost), withoutCost }] as const;
      });
      expect(new Map(together)).toEqual(singly);
      for (const { principal } of storable) expect(principal).not.toContain('\0');
    }),
  );
});

function toEntry(
  { input, ...drawn }: Omit<LedgerEntry, keyof typeof rest> & { readonly input: number },
  index: number,
): LedgerEntry {
  const usage = { input, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 1, reasoning: 0 };
  return { ...rest, ...drawn, id: `req_${index}`, usage };
}

const rest = {
  id: '',
  durationMs: 1,
  tenant: 'default',
  keyId: undefined,
  taskId: undefined,
  alias: 'demo',
  provider: 'main',
  model: 'm',
  outcome: 'answered',
  usage: undefined,
  usageSource: 'reported',
  priceVersion: undefined,
} satisfies Partial<LedgerEntry>;
