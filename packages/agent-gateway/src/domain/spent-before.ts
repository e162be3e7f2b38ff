import type { JournalRecord } from './run-events.ts';
import type { RunIdentity } from './run-terms.ts';

type Event = JournalRecord['event'] | { readonly type: string };

const amount = /^\d{1,30}$/;

/**
 * What runs that spend one budget had spent of it when they were let go of, in nano-USD: what the first of them names from before it was
 * taken in, and what they have paid for since. What a fork's records cost, the other run has paid.
 */
export function spentBefore(
  { spentBeforeNanoUsd = '0' }: RunIdentity,
  runs: readonly { readonly records: readonly { readonly event: Event }[] }[],
): bigint {
  return runs.reduce(
    (sum, { records }) => sum + spentHere(records.map(({ event }) => event)),
    nanoUsd(spentBeforeNanoUsd),
  );
}

function spentHere(events: readonly Event[]): bigint {
  const begin = events.findLastIndex(({ type }) => type === 'run-imported' || type === 'run-forked');
  let sum = 0n;
  for (const event of events.slice(begin + 1))
    if (event.type === 'call-completed' && 'costNanoUsd' in event) sum += nanoUsd(event.costNanoUsd);
  return sum;
}

function nanoUsd(value: unknown): bigint {
  if (typeof value !== 'string' || !amount.test(value)) throw new Error('A cost is no number of nano-USD.');
  return BigInt(value);
}
