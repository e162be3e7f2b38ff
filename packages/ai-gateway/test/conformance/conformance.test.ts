import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningGateway } from '../harness.ts';
import { type Case, cases, type Seen } from './cases.ts';
import { clients } from './clients.ts';
import { startMatrixGateway } from './matrix-gateway.ts';
import { upstreams } from './upstreams.ts';

/** Every client through every upstream, streamed and whole, by the official SDKs. */

let simulator: Simulator;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startMatrixGateway(simulator);
});
afterAll(async () => {
  await gateway.close();
  await simulator.close();
});

/** What the simulator was told to answer. */
function expected({ name, prompt }: Case): Pick<Seen, 'text' | 'refusal' | 'calls' | 'finish'> {
  const said = /\[\[(?:say|json): ([\s\S]*?)\]\]/.exec(prompt)?.[1] ?? '';
  const refusal = /\[\[refuse: (.*?)\]\]/.exec(prompt)?.[1] ?? '';
  const scripted = /\[\[tools?: ([\s\S]*)\]\]/.exec(prompt)?.[1] ?? '';
  const calls = scripted === '' ? [] : scripted.split(' ; ').map(readCall);
  const finish =
    name === 'length' ? 'length' : refusal ? 'refused' : calls.length > 0 ? 'tool-calls' : 'stop';
  return { text: said, refusal, calls, finish };
}

function readCall(text: string): { name: string; arguments: unknown } {
  const space = text.indexOf(' ');
  return { name: text.slice(0, space), arguments: JSON.parse(text.slice(space)) };
}

for (const client of clients) {
  for (const upstream of upstreams) {
    describe(`${client.name} → ${upstream.name}`, () => {
      test.each(cases.map(each => [each.name, each] as const))('%s', async (_name, each) => {
        const model = each.thinks ? `${upstream.name}-thinking` : upstream.name;
        const whole = await client.ask(gateway, model, each, false);
        const streamed = await client.ask(gateway, model, each, true);
        expect(whole.seen).toMatchObject(expected(each));
        expect(streamed.seen).toEqual(whole.seen);
        expect(streamed.message).toEqual(whole.message);
        expect(whole.seen.inputTokens).toBeGreaterThan(0);
        expect(whole.seen.outputTokens).toBeGreaterThan(0);
      });
    });
  }
}
