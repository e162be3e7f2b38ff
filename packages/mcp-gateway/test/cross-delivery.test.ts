import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { expect, test } from 'vitest';
import { createModernClient } from './modern-client.ts';
import { startPermutingServer } from './permuting-server.ts';
import { errorOf, openRawClient, resultText } from './raw-client.ts';
import { startGatewayProcess } from './replica.ts';

const clients = 100;
const messages = sized({ ci: 6000, soak: 1_000_000 });

test(
  '[S-1] a hundred clients of both eras with equal ids, answers permuted and delayed: none is misdelivered',
  async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    const dataDir = mkdtempSync(join(tmpdir(), 'strata-crossing-'));
    const undo: (() => unknown)[] = [() => rmSync(dataDir, { recursive: true, force: true })];
    try {
      const server = await startPermutingServer(seededRandom(seed));
      undo.push(() => server.close());
      const http = { type: 'streamable-http', url: server.url, allow_private: true };
      const servers = {
        old: { ...http, era: 'legacy' },
        shared: { ...http, era: 'legacy', sharing: 'shared' },
        new: { ...http, era: 'modern' },
      };
      const { gateway, process: running } = await startGatewayProcess({
        dataDir,
        section: { servers },
        logLevel: 'error',
      });
      undo.push(async () => {
        const ended = once(running, 'exit');
        running.kill('SIGKILL');
        await ended;
      });
      const deps = await createTestDeps({ name: 'mcp-gateway', dataDir });
      undo.push(() => deps.close());
      const random = seededRandom(seed + 1);
      let delivered = 0;
      const misdelivered: string[] = [];
      /** A gateway or machine that is too busy may refuse a call and say so; it may not answer it with anything else. */
      const refused = new Map<string, number>();
      const scopes = { ...noScopes, servers: ['*'], tools: ['*'] };
      const keys = await Promise.all(
        Array.from({ length: 10 }, (_, who) => deps.createKey({ principal: `p${who}`, scopes })),
      );
      const names = ['old__mark', 'shared__mark', 'new__mark'];
      await Promise.all(
        Array.from({ length: clients }, async (_, who) => {
          const key = keys[who % keys.length] ?? '';
          const session = who % 2 === 0 ? await openRawClient(gateway, { key }) : undefined;
          const modern = createModernClient(gateway, { key });
          for (let round = 0; round < messages / clients; round++) {
            const mark = `${who}/${round}`;
            const name = names[Math.floor(random() * names.length)] ?? '';
            // Everybody uses the same two ids all the time.
            const id = String(round % 2);
            const [last] = session
              ? (await session.call(id, name, { mark })).slice(-1)
              : (await modern.ask(id, 'tools/call', { name, arguments: { mark } })).messages.slice(-1);
            const { reason = 'nothing', retryable } = errorOf(last)?.data ?? {};
            if (resultText(last) === mark) delivered++;
            else if (retryable === true) refused.set(String(reason), (refused.get(String(reason)) ?? 0) + 1);
            else misdelivered.push(`${mark} got ${last}`);
          }
        }),
      );
      expect(misdelivered, `seed ${seed}`).toEqual([]);
      const refusals = [...refused.values()].reduce((sum, count) => sum + count, 0);
      console.info(
        `${delivered} delivered, ${misdelivered.length} astray, refused:`,
        Object.fromEntries(refused),
      );
      expect(delivered + refusals).toBe(Math.ceil(messages / clients) * clients);
      expect(refusals).toBeLessThan(messages / 1000);
    } finally {
      for (const each of undo.reverse()) await each();
    }
  },
  sized({ ci: 180_000, soak: 7_200_000 }),
);
