import { expect, test } from 'vitest';
import { onEachStore } from './support/each-store.ts';
import { definitionOf } from './support/gateway.ts';

onEachStore(gateway => {
  test('who pauses or resumes a schedule that changes at the same moment, with its runs or with others, is not refused', async () => {
    const made = await gateway.call('PUT', '/v1/workflows/test/flow/1.0.0', {
      body: definitionOf([{ a: { set: { done: true } } }]),
    });
    expect(made.status).toBe(201);
    const workflow = { namespace: 'test', name: 'flow', version: '1.0.0' };
    const body = { workflow, every: { milliseconds: 1000 }, overlap: 'allow' };
    await gateway.call('PUT', '/v1/schedules/often', { body });
    const ask = (verb: string) => gateway.call('POST', `/v1/schedules/often:${verb}`, { body: {} });
    for (const [verb, paused] of [
      ['pause', true],
      ['resume', false],
      ['pause', true],
    ] as const) {
      const answers = await Promise.all([1, 2, 3, 4, 5].map(() => ask(verb)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      expect((await gateway.call('GET', '/v1/schedules/often')).body.paused).toBe(paused);
    }
    await gateway.call('DELETE', '/v1/schedules/often');
    expect((await ask('pause')).body.reason).toBe('schedule_not_found');
  });
});
