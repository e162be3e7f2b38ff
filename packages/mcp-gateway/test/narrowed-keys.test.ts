import { noScopes, type Scopes } from '@strata/shared/identity/scopes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient, textOf } from './modern-client.ts';
import { eventsOf, openRawClient, until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** What goes on for a key follows what the key allows: streams that are open, and calls that wait for their client. */
let left: EverythingServer;
let right: EverythingServer;
let old: EverythingServer;
let gateway: TestGateway;

beforeAll(async () => {
  [left, right, old] = await Promise.all([
    startEverythingServer('modern'),
    startEverythingServer('modern'),
    startEverythingServer('legacy'),
  ]);
  const http = ({ url }: EverythingServer) => ({ type: 'streamable-http', url, allow_private: true });
  gateway = await startGateway({ servers: { left: http(left), right: http(right), old: http(old) } });
});

afterAll(async () => {
  await gateway?.close();
  await Promise.all([left?.close(), right?.close(), old?.close()]);
});

const all = ['*'];
const scopesOf = (servers: readonly string[]): Scopes => ({ ...noScopes, servers, tools: all });
const watched = 'test://watched-resource';
const uris = [`left+${watched}`, `right+${watched}`];

async function makeKey() {
  const made = await gateway.deps.keys.create({
    name: 'x',
    tenant: 'default',
    principal: 'p',
    scopes: scopesOf(all),
  });
  const narrow = (scopes: Scopes) => gateway.deps.keys.change(made.key.id, { scopes });
  return { key: made.secret.reveal(), narrow };
}

/** Tells of the resource at both servers until the right one’s is heard. */
async function updatesHeard(heard: readonly string[]): Promise<string[]> {
  const from = heard.length;
  left.shared.resourceUpdated(watched);
  right.shared.resourceUpdated(watched);
  await until(() => heard.slice(from).some(data => data.includes(uris[1] ?? '')), 'the update');
  return uris.filter(uri => heard.slice(from).some(data => data.includes(uri)));
}

test('[S-2] the stream of a session tells nothing of a server that its key may not use any more', async () => {
  const { key, narrow } = await makeKey();
  const client = await openRawClient(gateway, { key });
  const heard: string[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) heard.push(data);
  })();
  reading.catch(() => {}); // ends with the test
  for (const uri of uris) {
    const message = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri } };
    expect(JSON.parse((await client.ask(JSON.stringify(message)))[0] ?? '')).toMatchObject({ result: {} });
  }
  await until(async () => (await updatesHeard(heard)).length === 2, 'the updates of both');
  await narrow(scopesOf(['*', '!left']));
  const isSilent = async () => (await updatesHeard(heard)).length === 1;
  await until(async () => (await isSilent()) && (await isSilent()), 'the silence');
  await narrow(scopesOf(all));
  await until(async () => (await updatesHeard(heard)).length === 2, 'the updates of both again');
  stop.abort();
});

test('[S-2] the stream of a session tells what the key may hear that reads it, whichever subscribed', async () => {
  const wide = await makeKey();
  const narrow = await makeKey();
  await narrow.narrow(scopesOf(['right']));
  const client = await openRawClient(gateway, { key: wide.key });
  for (const uri of uris) {
    const message = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri } };
    await client.ask(JSON.stringify(message));
  }
  const heard: string[] = [];
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${narrow.key}` };
  const stream = await client.get({ signal: stop.signal, headers });
  const reading = (async () => {
    for await (const { data } of eventsOf(stream)) heard.push(data);
  })();
  reading.catch(() => {}); // ends with the test
  await until(async () => (await updatesHeard(heard).catch(() => [])).length > 0, 'the updates');
  await client.ask('{"jsonrpc":"2.0","id":2,"method":"ping"}'); // the other key does not read
  expect(await updatesHeard(heard)).toEqual([uris[1]]);
  expect(heard.join()).not.toContain('left+');
  stop.abort();
});

test('[S-2] who listens listens again when the key has changed, to what is left', async () => {
  const { key, narrow } = await makeKey();
  const client = createModernClient(gateway, { key });
  await client.ask('1', 'resources/list');
  const listening = await client.listen({ resourceSubscriptions: uris });
  expect(listening.acknowledged).toEqual({ resourceSubscriptions: uris });
  await narrow(scopesOf(['right']));
  await until(() => listening.messages.some(({ result }) => result !== undefined), 'the end of the stream');
  const again = await client.listen({ resourceSubscriptions: uris });
  expect(again.acknowledged).toEqual({ resourceSubscriptions: [uris[1]] });
  again.close();
});

test('[S-2] a call that waits for its client does not go on with a key that may not make it', async () => {
  const wide = await makeKey();
  const narrow = await makeKey();
  await narrow.narrow({ ...scopesOf(all), tools: ['*', '!old__test_elicitation'] });
  const capabilities = { elicitation: {} };
  const [client, other] = [wide, narrow].map(({ key }) => createModernClient(gateway, { key, capabilities }));
  const args = { message: 'who?' };
  const asked = await client?.call('old__test_elicitation', args);
  const [question = ''] = Object.keys(asked?.result.inputRequests ?? {});
  const inputResponses = { [question]: { action: 'accept', content: { username: 'a', email: 'a@b.c' } } };
  const retry = { inputResponses, requestState: asked?.result.requestState };
  const refused = await other?.call('old__test_elicitation', args, retry);
  expect(refused?.error).toMatchObject({ code: -32602, data: { reason: 'invalid_state' } });
  const answer = await client?.call('old__test_elicitation', args, retry);
  expect(answer && textOf(answer)).toContain('accept');
});
