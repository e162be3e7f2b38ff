import type { Hot } from '@strata/shared/stores/hot.ts';
import type { ManualClock } from '@strata/shared/testing/manual-clock.ts';
import fc from 'fast-check';

/** Random commands for hot stores, to compare one with another and both with what may never happen. */

const key = fc.constantFrom('{a}', '{b}');
const owner = fc.constantFrom('x', 'y', 'z');
const ttlMs = fc.integer({ min: 1, max: 3000 });

export const hotCommand = fc.oneof(
  fc.record({ type: fc.constant('acquire'), key, owner, ttlMs }),
  fc.record({ type: fc.constant('renew'), key, owner, ttlMs }),
  fc.record({ type: fc.constant('release'), key, owner }),
  fc.record({
    type: fc.constant('append'),
    key,
    owner,
    isFenced: fc.boolean(),
    maxEvents: fc.integer({ min: 1, max: 6 }),
    ttlMs,
  }),
  fc.record({
    type: fc.constant('read'),
    key,
    afterSeq: fc.integer({ min: 0, max: 12 }),
    limit: fc.integer({ min: 1, max: 8 }),
  }),
  fc.record({ type: fc.constant('set'), key, value: fc.string(), ttlMs }),
  fc.record({ type: fc.constant('get'), key }),
  fc.record({ type: fc.constant('delete'), key }),
  fc.record({ type: fc.constant('wait'), ms: fc.integer({ min: 1, max: 2000 }) }),
  fc.record({ type: fc.constant('set-clock'), ms: fc.integer({ min: -1000, max: 1000 }) }),
);

export type HotCommand = typeof hotCommand extends fc.Arbitrary<infer Command> ? Command : never;

/** What each owner believes: the fence it was last given. Shared by the stores that are compared. */
export type Beliefs = Map<string, number>;

export async function runHotCommand(
  hot: Hot,
  command: HotCommand,
  clock: ManualClock,
  beliefs: Beliefs,
): Promise<unknown> {
  const fence = 'owner' in command ? (beliefs.get(command.key + command.owner) ?? 0) : 0;
  switch (command.type) {
    case 'acquire':
      return hot.acquireLease(command.key, command.owner, command.ttlMs);
    case 'renew':
      return hot.renewLease(command.key, command.owner, fence, command.ttlMs);
    case 'release':
      return hot.releaseLease(command.key, command.owner, fence);
    case 'append': {
      const { maxEvents, ttlMs, isFenced } = command;
      const lease = isFenced ? { lease: { key: command.key, fence } } : {};
      return hot.appendEvent(`${command.key}:ring`, `${clock.now()}`, { maxEvents, ttlMs, ...lease });
    }
    case 'read':
      return hot.readEvents(`${command.key}:ring`, command.afterSeq, command.limit);
    case 'set':
      return hot.set(command.key, command.value, { ttlMs: command.ttlMs });
    case 'get':
      return hot.get(command.key);
    case 'delete':
      return hot.delete(command.key);
    case 'wait':
      return clock.advance(command.ms);
    case 'set-clock':
      return clock.shiftWallClock(command.ms);
  }
}
