import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { eventStreamHead } from '@strata/shared/testing/fake-upstream/plans.ts';
import { startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import OpenAI from 'openai';
import { afterAll, expect, test } from 'vitest';
import { chatEvents } from './recordings.ts';
import { openBooks } from './support/books.ts';
import { openGatewayPlaces } from './support/gateway-processes.ts';

/** A process that makes answers in the background is killed in the middle of them; another one is asked what became of them. */

const folder = mkdtempSync(join(tmpdir(), 'strata-background-kill-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  if (!isMissing(postgres)) await postgres.close();
});

const limitNanoUsd = 1_000_000_000n;
const runs = 4;

async function killInTheMiddle(url: string): Promise<void> {
  const books = await openBooks(url, limitNanoUsd);
  const upstream = await startFakeUpstream({
    plan: [eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, 4).join('') }, { op: 'stall' }],
  });
  const gateways = await openGatewayPlaces({
    count: 2,
    config: {
      store: { url, busy_timeout_ms: 30_000 },
      ai_gateway: {
        listen: { port: 0 },
        providers: {
          main: {
            type: 'openai-compatible',
            base_url: `${upstream.url}/v1`,
            api_key: 'x',
            allow_private: true,
          },
        },
        models: {
          chat: { targets: [{ provider: 'main', model: 'm', prices: { input: '1', output: '2' } }] },
        },
      },
    },
  });
  const [doomed = expect.fail(), witness = expect.fail()] = gateways.places;
  try {
    await Promise.all([doomed.start(), witness.start()]);
    const at = (place: { url: string }) =>
      new OpenAI({ baseURL: `${place.url}/v1`, apiKey: gateways.key, maxRetries: 0 });
    const conversation = await at(witness).conversations.create();
    const ask = { model: 'chat', max_output_tokens: 100, background: true } as const;
    const created = await Promise.all(
      Array.from({ length: runs }, (_, index) =>
        at(doomed).responses.create({
          ...ask,
          input: 'x',
          ...(index === 0 && { conversation: conversation.id }),
        }),
      ),
    );
    const stream = await at(doomed).responses.create({ ...ask, input: 'x', stream: true });
    const seen = [];
    for await (const event of stream) {
      seen.push(event);
      if (event.type === 'response.output_text.delta') break;
    }
    const [first] = seen;
    const streamedId = first?.type === 'response.created' ? first.response.id : '';
    await upstream.requestReceived(runs + 1);
    expect(await at(witness).responses.retrieve(streamedId)).toMatchObject({ status: 'in_progress' });
    await doomed.kill();

    const { responses } = at(witness);
    for (const id of [...created.map(each => each.id), streamedId]) {
      await expect
        .poll(async () => (await responses.retrieve(id)).status, { timeout: 60_000, interval: 500 })
        .toBe('failed');
      expect((await responses.retrieve(id)).error).toMatchObject({ code: 'response_interrupted' });
    }
    // What was seen before goes on with what is known now.
    const rest = [];
    const last = seen.at(-1)?.sequence_number ?? -1;
    for await (const event of await responses.retrieve(streamedId, { stream: true, starting_after: last }))
      rest.push(event);
    expect(rest[0]?.sequence_number).toBe(last + 1);
    expect(rest.at(-1)).toMatchObject({ type: 'response.failed', response: { status: 'failed' } });
    // The turn that the dead process had is free again, and nothing was added in it.
    await expect
      .poll(
        () =>
          at(witness)
            .conversations.items.create(conversation.id, { items: [{ role: 'user', content: 'on' }] })
            .then(({ data }) => data.length)
            .catch(() => 0),
        { timeout: 60_000, interval: 500 },
      )
      .toBe(1);
    expect((await at(witness).conversations.items.list(conversation.id)).data).toHaveLength(1);

    expect(await witness.stop()).toBe(0);
    await books.store.reap(systemClock.now() + 3_600_000);
    const { spentNanoUsd, openNanoUsd, lostNanoUsd } = await books.totals();
    expect(openNanoUsd).toBe(0n);
    expect(lostNanoUsd).toBeGreaterThan(0n); // what the dead process had set aside counts as spent
    expect(spentNanoUsd + lostNanoUsd <= limitNanoUsd).toBe(true);
    expect(await books.rows()).toEqual([]);
  } finally {
    await gateways.close();
    await upstream.close();
    await books.close();
  }
}

test('[$-1] [AI-7] SQLite: answers whose process was killed end as failed, and what was set aside stays accounted for', () =>
  killInTheMiddle(`file:${join(folder, 'background.sqlite')}`));

test.skipIf(isMissing(postgres))(
  '[$-1] [AI-7] PostgreSQL: answers whose process was killed end as failed, and what was set aside stays accounted for',
  async () => {
    if (!isMissing(postgres)) await killInTheMiddle(await postgres.createDatabase());
  },
);
