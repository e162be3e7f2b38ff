import type { Hot } from '@strata/shared/stores/hot.ts';
import { openHot } from '@strata/shared/stores/open-hot.ts';
import { hotSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock, type ManualClock } from '@strata/shared/testing/manual-clock.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Beliefs, type HotCommand, hotCommand, runHotCommand } from './contracts/hot-commands.ts';
import { hotContract } from './contracts/hot-contract.ts';

const redis = await startRedis();
afterAll(async () => {
  if (!isMissing(redis)) await redis.close();
});

let opened = 0;
const open = (url: string | undefined, clock: ManualClock): Promise<Hot> =>
  openHot(hotSection.parse({ url, key_prefix: `test${++opened}:` }), clock);

hotContract('memory', clock => open(undefined, clock));
if (isMissing(redis)) test.skip(`Redis as a hot store: ${redis.missing}`, () => {});
else hotContract('Redis', clock => open(redis.url, clock));

const isClockCommand = (command: HotCommand) => command.type === 'wait' || command.type === 'set-clock';

function learn(beliefs: Beliefs, command: HotCommand, answer: unknown): void {
  if (command.type !== 'acquire' || answer === undefined) return;
  beliefs.set(command.key + command.owner, (answer as { fence: number }).fence); // what acquiring answers
}

describe('any sequence of commands', () => {
  test.skipIf(isMissing(redis))('gets the same answers from memory and from Redis', async () => {
    const url = isMissing(redis) ? '' : redis.url;
    await fc.assert(
      fc.asyncProperty(fc.array(hotCommand, { minLength: 1, maxLength: 40 }), async commands => {
        const clock = createManualClock();
        const [memory, remote] = [await open(undefined, clock), await open(url, clock)];
        const beliefs: Beliefs = new Map();
        for (const command of commands) {
          const expected = await runHotCommand(memory, command, clock, beliefs);
          if (isClockCommand(command)) continue;
          const answer = await runHotCommand(remote, command, clock, beliefs);
          expect(answer, JSON.stringify(command)).toEqual(expected);
          learn(beliefs, command, expected);
        }
        await Promise.all([memory.close(), remote.close()]);
      }),
      { numRuns: 150 },
    );
  });

  test('[MCP-2] never gives a fence twice, nor a number of a ring twice while it lives', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hotCommand, { minLength: 1, maxLength: 60 }), async commands => {
        const clock = createManualClock();
        const hot = await open(undefined, clock);
        const beliefs: Beliefs = new Map();
        const highest = new Map<string, { fence: number; owner: string }>();
        for (const command of commands) {
          const answer = await runHotCommand(hot, command, clock, beliefs);
          learn(beliefs, command, answer);
          if (command.type === 'acquire' && answer !== undefined) {
            const { fence } = answer as { fence: number }; // what acquiring answers
            const before = highest.get(command.key);
            if (before?.fence === fence) expect(command.owner).toBe(before.owner);
            else expect(fence).toBeGreaterThan(before?.fence ?? 0);
            highest.set(command.key, { fence, owner: command.owner });
          }
          if (command.type === 'append' && command.isFenced && answer !== 'fenced') {
            expect(beliefs.get(command.key + command.owner)).toBe(highest.get(command.key)?.fence);
          }
          if (command.type === 'read') {
            const { events } = answer as { events: { seq: number }[] }; // what reading answers
            const from = events[0]?.seq ?? 0;
            expect(events.map(each => each.seq)).toEqual(events.map((_, index) => from + index));
          }
        }
        await hot.close();
      }),
      { numRuns: 300 },
    );
  });
});
