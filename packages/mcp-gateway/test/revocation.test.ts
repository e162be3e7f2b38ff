import { allScopes } from '@strata/shared/identity/scopes.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { errorOf, eventsOf, messagesOf, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;

beforeEach(async () => {
  const scripted = { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' };
  gateway = await startGateway({ servers: { one: scripted }, streams: { stream_after_ms: 50 } });
  await (await openRawClient(gateway)).call('1', 'one__pid'); // the server runs and its tools are known
});

afterEach(() => gateway.close());

const call = (id: number) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"one__never"}}`;

/** Whether the server was told that nobody waits for so many calls any more. */
async function cancelledAtServer(count: number): Promise<void> {
  const bystander = await openRawClient(gateway);
  await until(async () => {
    const text = resultText((await bystander.call('1', 'one__cancelled'))[0]);
    return text.split('requestId').length - 1 >= count;
  }, 'the server was told');
}

test('[A12] a key that is disabled ends its calls, at the server too, and its open streams', async () => {
  const { keys } = gateway.deps;
  const made = await keys.create({ name: 'x', tenant: 'default', principal: 'p', scopes: allScopes });
  const client = await openRawClient(gateway, { key: made.secret.reveal() });
  const own = await client.get();
  const streamed = await client.post(call(7)); // answered with a stream, so the call is under way
  expect(streamed.status).toBe(200);
  await keys.disable(made.key.id);

  const [message] = (await messagesOf(streamed)).slice(-1);
  expect(errorOf(message)?.data).toMatchObject({ reason: 'key_revoked' });
  await cancelledAtServer(1);
  const rest: string[] = [];
  await (async () => {
    for await (const event of eventsOf(own)) rest.push(event.data);
  })().catch(() => {}); // the connection is cut, in which way does not matter
  expect(rest.filter(Boolean)).toEqual([]);
  expect((await client.post('{"jsonrpc":"2.0","id":2,"method":"ping"}')).status).toBe(401);
});

test('a run that is cancelled ends its calls, at the server too', async () => {
  const envelope = await gateway.issueEnvelope({ runId: 'run_7' });
  const client = await openRawClient(gateway, { envelope });
  const streamed = await client.post(call(8));
  await gateway.deps.cancelRun({ tenant: 'default', runId: 'run_7' });
  const [message] = (await messagesOf(streamed)).slice(-1);
  expect(errorOf(message)?.data).toMatchObject({ reason: 'run_cancelled' });
  await cancelledAtServer(1);
  expect((await client.post('{"jsonrpc":"2.0","id":2,"method":"ping"}')).status).toBe(499);
});
