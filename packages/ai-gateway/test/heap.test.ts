import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, expect, test } from 'vitest';
import { openGatewayPlaces } from './support/gateway-processes.ts';
import { heapLooks, reportsHeap } from './support/heap-report.ts';
import { meteredConfig, meteredRequest, startMeteredModels } from './support/metered-models.ts';

/** What a gateway holds while it works for a long time, answers whole and streamed, failures among them. */

const loadMs = sized({ ci: 20_000, soak: 600_000 });
const everyMs = sized({ ci: 500, soak: 5000 });
const lanes = 32;
/** Caches that fill, code that is compiled: a leak of one object a request would be ten times as much in the long run. */
const slackBytes = 4 * 1024 ** 2;

const folder = mkdtempSync(join(tmpdir(), 'strata-heap-'));
const random = seededRandom(20);
const models = await startMeteredModels(random);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await models.upstream.close();
});

test(
  'a gateway under load holds as much at the end as after a third of the time',
  async () => {
    const file = join(folder, 'heap');
    const gateways = await openGatewayPlaces({
      count: 1,
      config: meteredConfig(`file:${join(folder, 'store.sqlite')}`, models),
      environmentOf: () => reportsHeap(file, everyMs),
    });
    const [gateway = expect.fail()] = gateways.places;
    await gateway.start();
    const endsAtMs = Date.now() + loadMs;
    let answered = 0;
    await Promise.all(
      Array.from({ length: lanes }, async (_, lane) => {
        while (Date.now() < endsAtMs) {
          const reply = await gateway.ask('/v1/chat/completions', meteredRequest(lane));
          if (reply.type === 'answer' && reply.status === 200) answered++;
        }
      }),
    );
    const held = heapLooks(file).map(look => look.held);
    await gateways.close();
    const third = Math.floor(held.length / 3);
    const [early, late] = [middleOf(held.slice(third, 2 * third)), middleOf(held.slice(2 * third))];
    const inMiB = (bytes: number) => (bytes / 1024 ** 2).toFixed(1);
    console.info(`${answered} answers: ${inMiB(early)} MiB, then ${inMiB(late)} MiB held`);
    expect(held.length).toBeGreaterThan(6);
    expect(answered).toBeGreaterThan(100);
    expect(late - early).toBeLessThan(slackBytes);
  },
  loadMs + 60_000,
);

function middleOf(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
