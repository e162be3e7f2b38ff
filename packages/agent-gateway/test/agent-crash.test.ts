import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { definitionOf } from './support/gateway.ts';
import { type GatewayProcess, gatewayProcesses } from './support/gateway-process.ts';
import { startModel } from './support/model.ts';
import { openTestPostgres } from './support/postgres-journal.ts';
import { startToolServer } from './support/tool-server.ts';

/** The process of an agent is killed in the middle of a long conversation. */

const diesInTurn = 12;
const turns = 14;
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const stores: Readonly<Record<string, () => Promise<Record<string, unknown> | undefined>>> = {
  SQLite: async () => undefined,
  async PostgreSQL() {
    const postgres = await openTestPostgres();
    opened.push(postgres);
    return { url: await postgres.server.createDatabase() };
  },
};

async function openProcesses(store: string, section: Record<string, unknown>) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-agent-crash-'));
  const database = await stores[store]?.();
  const engine = { first_retry_ms: 20, lease_ms: 2000, heartbeat_ms: 500 };
  const processes = gatewayProcesses(folder, {
    ...(database !== undefined && { store: database }),
    section: { ...section, engine },
  });
  opened.push({
    async close() {
      await processes.close();
      rmSync(folder, { recursive: true, force: true });
    },
  });
  return processes;
}

const show = async (gateway: GatewayProcess, id: string) =>
  (await gateway.call('GET', `/v1/runs/${id}`)).body;

async function kill({ child }: GatewayProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

test.each(Object.keys(stores))(
  `[AG-1] [W5] %s: an agent whose process is killed in turn ${diesInTurn} goes on in turn ${diesInTurn}: no model is paid and no tool is used again for the turns before`,
  async store => {
    const reached = Promise.withResolvers<void>();
    let isHeld = true;
    const model = await startModel(async ({ messages }) => {
      const turn = messages.filter(({ role }) => role === 'assistant').length + 1;
      if (turn === diesInTurn && isHeld) {
        isHeld = false;
        reached.resolve();
        await new Promise(() => {}); // never answered: whoever asked is killed
      }
      if (turn === turns) return { say: `Counted to ${messages.at(-1)?.content}.` };
      return { use: [{ tool: 'count__to', input: { turn } }] };
    });
    const tools = await startToolServer([{ name: 'count__to', run: ({ turn }) => turn }]);
    opened.push(model, tools);
    const processes = await openProcesses(store, { ai_gateway: model.url, mcp_gateway: `${tools.url}/mcp` });
    const first = await processes.start('all');
    const definition = definitionOf([
      {
        count: {
          call: 'agent',
          with: { agent: 'counter', model: 'demo', input: 'Count.', tools: ['count__*'], maxTurns: 20 },
        },
      },
    ]);
    const { body: run } = await first.call('POST', '/v1/runs', { body: { definition, input: {} } });
    await reached.promise;
    const used = tools.calls.length;
    expect(used).toBe(diesInTurn - 1);
    await kill(first);

    const second = await processes.start('all');
    await expect
      .poll(async () => (await show(second, run.id)).status, { timeout: 60_000, interval: 50 })
      .toBe('completed');
    expect(await show(second, run.id)).toMatchObject({
      output: { content: `Counted to ${turns - 1}.`, turns, toolCalls: turns - 1 },
      // What was not answered was paid for nowhere that is known of.
      cost: { nano_usd: String(turns * 1000), unpriced_calls: 0 },
    });
    const times = new Map<unknown, number>();
    for (const { headers } of model.received) {
      const key = headers['idempotency-key'];
      times.set(key, (times.get(key) ?? 0) + 1);
    }
    const asked = [...times.values()];
    expect(asked).toEqual(Array.from({ length: turns }, (_, index) => (index + 1 === diesInTurn ? 2 : 1)));
    expect(tools.calls).toHaveLength(turns - 1);
    expect(new Set(tools.calls.map(({ key }) => key)).size).toBe(turns - 1);
  },
  120_000,
);
