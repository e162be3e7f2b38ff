/**
 * What the suite starts as the client: a gateway with the suite's server behind it, and in front of it a client with a session that lists
 * everything, makes the calls the suite names, and answers what it is asked. So what the suite's server sees is the gateway.
 */
import { eventsOf, openRawClient, type RawClient } from '../raw-client.ts';
import { startGateway } from '../start-gateway.ts';

const url = process.argv.at(-1) ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as {
  toolCalls?: { name: string; arguments: object }[];
};
const gateway = await startGateway({
  servers: { it: { type: 'streamable-http', url, allow_private: true, names: 'plain', timeout_ms: 10_000 } },
});
const client = await openRawClient(gateway, { capabilities: { elicitation: {}, sampling: {}, roots: {} } });

const content = { action: 'accept', content: { confirmed: true, name: 'ann', ok: true, value: 'x' } };

async function ask(method: string, params: object): Promise<Record<string, unknown>> {
  const response = await client.post(JSON.stringify({ jsonrpc: '2.0', id: method, method, params }));
  let last: { id?: unknown; method?: string; result?: Record<string, unknown> } = {};
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    last = JSON.parse(await response.text());
  } else {
    for await (const { data } of eventsOf(response)) {
      if (data === '') continue;
      last = JSON.parse(data);
      if (last.method !== undefined && last.id !== undefined) await answer(client, last.id);
    }
  }
  return last.result ?? {};
}

async function answer(to: RawClient, id: unknown): Promise<void> {
  await to.post(JSON.stringify({ jsonrpc: '2.0', id, result: content }));
}

const items = (result: Record<string, unknown>, member: string) =>
  (result[member] ?? []) as { name: string; uri: string }[];
const tools = items(await ask('tools/list', {}), 'tools');
const named = context.toolCalls?.filter(call => tools.some(tool => tool.name === call.name));
const calls = named ?? tools.map(({ name }) => ({ name, arguments: { a: 5, b: 3 } }));
for (const call of calls) await ask('tools/call', call);
for (const { uri } of items(await ask('resources/list', {}), 'resources'))
  await ask('resources/read', { uri });
for (const { name } of items(await ask('prompts/list', {}), 'prompts')) await ask('prompts/get', { name });
await gateway.close();
process.exit(0);
