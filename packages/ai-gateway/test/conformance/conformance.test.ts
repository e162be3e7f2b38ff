import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Case, cases, type Seen } from './cases.ts';
import type { Client } from './client.ts';
import { clients } from './clients.ts';
import { useMatrixGateway } from './matrix-gateway.ts';
import { type Upstream, upstreams } from './upstreams.ts';

/** Every client through every upstream, streamed and whole, by the official SDKs. */

const matrix = useMatrixGateway();

/** How many cases passed, by `client → upstream`. */
const passed = new Map<string, number>();

/** What a client is to see of the answer. */
function expectedBy(client: Client, answer: Partial<Seen>): object {
  if (answer.finish !== 'refused' || client.tellsRefusalsAsText !== true) return answer;
  return { text: answer.refusal, calls: [], finish: expect.stringMatching(/^(refused|stop)$/) };
}

function isExpressible(client: Client, upstream: Upstream, { name }: Case): boolean {
  return !client.lacks?.includes(name) && !upstream.lacks?.includes(name);
}

async function compare(client: Client, model: string, test: Case, answer: Partial<Seen>): Promise<void> {
  const whole = await client.ask(matrix.gateway, model, test, false);
  const streamed = await client.ask(matrix.gateway, model, test, true);
  expect(whole.seen).toMatchObject(expectedBy(client, answer));
  expect(whole.seen.inputTokens).toBeGreaterThan(0);
  expect(whole.seen.outputTokens).toBeGreaterThan(0);
  const { text, refusal, calls, finish } = whole.seen;
  if (client.miscountsStreams) expect(streamed.seen).toMatchObject({ text, refusal, calls, finish });
  else expect(streamed.seen).toEqual(whole.seen);
  expect(streamed.message).toEqual(whole.message);
}

for (const client of clients) {
  for (const upstream of upstreams) {
    const possible = cases.filter(each => isExpressible(client, upstream, each));
    describe(`${client.name} → ${upstream.name}`, () => {
      test.each(possible.map(each => [each.name, each] as const))('%s', async (_name, each) => {
        const model = each.thinks ? `${upstream.name}-thinking` : upstream.name;
        if (each.expects !== 'an error') await compare(client, model, each, each.expects);
        else
          for (const isStream of [false, true])
            await expect(client.ask(matrix.gateway, model, each, isStream)).rejects.toThrow();
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
      text.replace(table, () => `<!-- matrix -->\n${renderMatrix()}<!-- /matrix -->`),
    );
  else expect(table.exec(text)?.[1]).toBe(renderMatrix());
});

function renderMatrix(): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const rows = clients.map(client =>
    row([
      `\`${client.name}\``,
      ...upstreams.map(upstream => {
        const possible = cases.filter(each => isExpressible(client, upstream, each)).length;
        return `${passed.get(`${client.name} → ${upstream.name}`) ?? 0} of ${possible}`;
      }),
    ]),
  );
  const head = ['client', ...upstreams.map(({ name }) => name)];
  const lacking = [
    ...clients.map(({ name, lacks }) => ({ who: `\`${name}\``, lacks })),
    ...upstreams.map(({ name, lacks }) => ({ who: `An upstream of \`${name}\``, lacks })),
  ].flatMap(({ who, lacks }) => (lacks ? [`- ${who} has nothing for: ${lacks.join(', ')}.\n`] : []));
  const list = cases.map(({ name }) => name).join('; ');
  return `\n${row(head)}${row(head.map(() => '---'))}${rows.join('')}\nThe cases: ${list}.\n\n${lacking.join('')}\n`;
}
