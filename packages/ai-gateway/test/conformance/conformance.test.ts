import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** How many cases passed, by `client → upstream`. */
const passed = new Map<string, number>();

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
        const pair = `${client.name} → ${upstream.name}`;
        passed.set(pair, (passed.get(pair) ?? 0) + 1);
      });
    });
  }
}

/** Writes the table when `UPDATE_MATRIX` is set; else the page must say exactly what passed. */
test('the page claims what passed, no more and no less', () => {
  const page = join(import.meta.dirname, '../../../../docs/ai-gateway.md');
  const text = readFileSync(page, 'utf8');
  const table = /<!-- matrix -->\n([\s\S]*?)<!-- \/matrix -->/;
  if (process.env.UPDATE_MATRIX === '1')
    writeFileSync(
      page,
      text.replace(table, () => `<!-- matrix -->\n${matrix()}<!-- /matrix -->`),
    );
  else expect(table.exec(text)?.[1]).toBe(matrix());
});

function matrix(): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const rows = clients.map(({ name }) =>
    row([
      `\`${name}\``,
      ...upstreams.map(upstream => `${passed.get(`${name} → ${upstream.name}`) ?? 0} of ${cases.length}`),
    ]),
  );
  const head = ['client', ...upstreams.map(({ name }) => name)];
  return `\n${row(head)}${row(head.map(() => '---'))}${rows.join('')}\n`;
}
