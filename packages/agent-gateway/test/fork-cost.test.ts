import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { stores } from './support/both-stores.ts';
import { useStoreConfigs } from './support/each-store.ts';
import { definitionOf, startGateway } from './support/gateway.ts';
import { startModel } from './support/model.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const configOf = useStoreConfigs();

test.each(stores)(
  '[8.4-9] [AG-1] %s: a fork with another model asks only for what comes after, and says what that cost more',
  async store => {
    const models: string[] = [];
    const model = await startModel(body => {
      models.push(body.model);
      return { say: 'Something.' };
    });
    const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(store) });
    const gateway = await startGateway({ deps, config: { ai_gateway: model.url } });
    opened.push(model, deps, gateway);
    const ask = (name: string) => ({ call: 'agent', with: { model: name, input: 'Say something.' } });
    const { body: source } = await gateway.call('POST', '/v1/runs?wait=20', {
      body: { definition: definitionOf([{ draft: ask('small') }, { check: ask('small') }]), input: {} },
    });
    expect(source.status, JSON.stringify(source)).toBe('completed');
    const fork = async (id: string, task: string) => {
      const { body } = await gateway.call('POST', `/v1/runs/${id}:fork`, {
        body: {
          task,
          definition: definitionOf([
            { draft: ask('small') },
            { check: ask('large') },
            { again: ask('large') },
          ]),
        },
      });
      const status = async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status;
      await expect.poll(status, { timeout: 20_000 }).toBe('completed');
      return (await gateway.call('GET', `/v1/runs/${body.id}/cost`)).body;
    };
    const cost = await fork(source.id, '/do/1/check');
    expect(models).toEqual(['small', 'small', 'large', 'large']);
    expect(cost).toMatchObject({
      nano_usd: '2000',
      tasks: [
        { task: '/do/1/check', nano_usd: '1000' },
        { task: '/do/2/again', nano_usd: '1000' },
      ],
      forked_from: {
        run: source.id,
        task: '/do/1/check',
        kept_nano_usd: '1000',
        spent_since_nano_usd: '1000',
        difference_nano_usd: '1000',
      },
    });
    // What a fork began with was paid for by the run before it.
    expect((await fork(cost.run, '/do/1/check')).forked_from).toMatchObject({
      kept_nano_usd: '0',
      spent_since_nano_usd: '2000',
      difference_nano_usd: '0',
    });
  },
);
