import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventsOf, openRawClient, type RawClient } from '../raw-client.ts';
import { startGateway } from '../start-gateway.ts';

/** What the suite tells the client it starts. */
export interface Scenario {
  readonly url: string;
  readonly toolCalls: readonly { readonly name: string; readonly arguments: object }[] | undefined;
}

export interface ScenarioHost {
  readonly url: string;
  close(): Promise<void>;
}

/** Takes scenarios from the processes that the suite starts (`client-command.mjs`), so that none has to load a gateway of its own. */
export async function startScenarioHost(): Promise<ScenarioHost> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      play(JSON.parse(Buffer.concat(chunks).toString()) as Scenario).then(
        () => response.writeHead(204).end(),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise(resolve => server.close(() => resolve())),
  };
}

/**
 * A gateway with the suite's server behind it, and in front of it a client with a session that lists everything, makes the calls the
 * suite names, and answers what it is asked. So what the suite's server sees is the gateway.
 */
async function play({ url, toolCalls }: Scenario): Promise<void> {
  const it = { type: 'streamable-http', url, allow_private: true, names: 'plain', timeout_ms: 60_000 };
  const gateway = await startGateway({ servers: { it } }, { logLevel: 'error' });
  try {
    const client = await openRawClient(gateway, {
      capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} },
    });
    const tools = items(await ask(client, 'tools/list', {}), 'tools');
    const named = toolCalls?.filter(call => tools.some(tool => tool.name === call.name));
    // Where a tool wants a schema, it is given the one that another tool was listed with.
    const schema = tools.find(({ name }) => name !== 'json_schema_echo')?.inputSchema;
    const calls = named ?? tools.map(({ name }) => ({ name, arguments: { a: 5, b: 3, schema } }));
    for (const call of calls) await ask(client, 'tools/call', call);
    for (const { uri } of items(await ask(client, 'resources/list', {}), 'resources'))
      await ask(client, 'resources/read', { uri });
    for (const { name } of items(await ask(client, 'prompts/list', {}), 'prompts'))
      await ask(client, 'prompts/get', { name });
  } finally {
    await gateway.close();
  }
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: {
    readonly requestedSchema?: { readonly properties?: Record<string, { default?: unknown }> };
  };
  readonly result?: Record<string, unknown>;
}

async function ask(client: RawClient, method: string, params: object): Promise<Record<string, unknown>> {
  const response = await client.post(JSON.stringify({ jsonrpc: '2.0', id: method, method, params }));
  let last: Message = {};
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    last = JSON.parse(await response.text());
  } else {
    for await (const { data } of eventsOf(response)) {
      if (data === '') continue;
      last = JSON.parse(data);
      if (last.method !== undefined && last.id !== undefined) await answer(client, last);
    }
  }
  return last.result ?? {};
}

/** Fills a form with its own defaults, as a client that takes them does (SEP-1034). */
async function answer(client: RawClient, { id, params }: Message): Promise<void> {
  const fields = Object.entries(params?.requestedSchema?.properties ?? {});
  const defaults = fields.flatMap(([key, field]) => ('default' in field ? [[key, field.default]] : []));
  const content = { confirmed: true, name: 'ann', ok: true, value: 'x' };
  const given = defaults.length > 0 ? Object.fromEntries(defaults) : content;
  await client.post(JSON.stringify({ jsonrpc: '2.0', id, result: { action: 'accept', content: given } }));
}

interface Item {
  readonly name: string;
  readonly uri: string;
  readonly inputSchema?: unknown;
}

function items(result: Record<string, unknown>, member: string): Item[] {
  return (result[member] ?? []) as Item[]; // the suite's server writes them
}
