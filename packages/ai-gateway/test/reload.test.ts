import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AiGatewaySection } from '../src/config.ts';
import { chatRequest, parseSection, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion, chatEvents, chatStream, chatStreamWithoutUsage } from './recordings.ts';

/** A source that a test changes, as the file watcher would. */
class ChangingConfig implements ConfigSource<AiGatewaySection> {
  current: AiGatewaySection;
  readonly #listeners = new Set<(next: AiGatewaySection) => void>();

  constructor(section: object) {
    this.current = parseSection(section);
  }

  onChange(listener: (next: AiGatewaySection) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(section: object): void {
    this.current = parseSection(section);
    for (const listener of this.#listeners) listener(this.current);
  }
}

let first: FakeUpstream;
let second: FakeUpstream;
let config: ChangingConfig;
let gateway: RunningGateway;

beforeAll(async () => {
  first = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  second = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  config = new ChangingConfig(sectionFor({ openai: first.url }));
  gateway = await startGateway({ config });
});
afterAll(async () => {
  await gateway.close();
  await first.close();
  await second.close();
});

test('[F48] a new configuration takes over at once; a stream that began under the old one ends under it', async () => {
  const gate = Promise.withResolvers<void>();
  const rest = chatStream.slice(chatEvents.slice(0, 2).join('').length);
  first.use([
    eventStreamHead,
    { op: 'write', bytes: chatEvents.slice(0, 2).join('') },
    { op: 'waitFor', until: gate.promise },
    { op: 'write', bytes: rest },
  ]);
  const running = post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  await first.requestReceived(1);
  config.change(sectionFor({ openai: second.url }));
  await post(gateway, '/v1/chat/completions', chatRequest());
  expect(second.requests).toHaveLength(1);
  gate.resolve();
  expect((await running).body.toString()).toBe(chatStreamWithoutUsage);
  expect(first.requests).toHaveLength(1);
});

test('[F48] a hundred changes under load: every request sees one configuration or the other, none a mix', async () => {
  const upstreams = [first, second];
  first.use(jsonPlan({ ...chatCompletion, id: 'first' }));
  second.use(jsonPlan({ ...chatCompletion, id: 'second' }));
  let isOver = false;
  const clients = Array.from({ length: 4 }, async () => {
    let answers = 0;
    while (!isOver) {
      const answer = await post(gateway, '/v1/chat/completions', chatRequest());
      const { id } = JSON.parse(answer.body.toString());
      expect([answer.status, answer.headers['x-strata-model']]).toEqual([200, `model-of-${id}`]);
      answers++;
    }
    return answers;
  });
  for (let index = 0; index < 100; index++) {
    const upstream = upstreams[index % 2] ?? first;
    const section = sectionFor({ openai: upstream.url }) as { providers: object };
    const model = `model-of-${upstream === first ? 'first' : 'second'}`;
    config.change({ ...section, models: { chat: { targets: [{ provider: 'fake-openai', model }] } } });
    await new Promise(resolve => setTimeout(resolve, 5)); // some requests between two changes
    if (index === 0) await post(gateway, '/v1/chat/completions', chatRequest());
  }
  isOver = true;
  const counts = await Promise.all(clients);
  expect(counts.every(count => count > 5)).toBe(true);
});
