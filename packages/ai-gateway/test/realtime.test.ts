import { connect } from 'node:net';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RawData, WebSocket } from 'ws';
import { type RunningGateway, startGateway } from './harness.ts';
import { FakeRealtime } from './support/fake-realtime.ts';

const prices = { input: '4', cache_read: '0.4', output: '16', audio_input: '32', audio_output: '64' };
const fake = new FakeRealtime();
let upstream: string;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await fake.start();
});
beforeEach(() => {
  fake.refusal = undefined;
  fake.onSession = () => {};
});
afterEach(() => gateway.close());
afterAll(() => fake.close());

async function start(more: { shared?: Record<string, unknown>; section?: object } = {}): Promise<void> {
  const provider = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    ...(more.shared && { shared: more.shared }),
    section: {
      providers: {
        dead: { ...provider, base_url: 'http://127.0.0.1:9/v1' },
        main: { ...provider, base_url: upstream },
      },
      models: {
        voice: { targets: [{ provider: 'main', model: 'gpt-realtime', prices }] },
        steady: {
          targets: [
            { provider: 'dead', model: 'gone' },
            { provider: 'main', model: 'gpt-realtime', prices },
          ],
        },
      },
      ...more.section,
    },
  });
}

const address = () => new URL(gateway.url);

/** The official client insists on TLS by its URL; the connection below it is a plain one here. */
function officialClient(model = 'voice', apiKey = gateway.key): OpenAIRealtimeWS {
  const sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey });
  const { hostname, port, host } = address();
  const options = {
    createConnection: () => connect(Number(port), hostname),
    headers: { host },
  };
  return new OpenAIRealtimeWS({ model, options } as ConstructorParameters<typeof OpenAIRealtimeWS>[0], sdk); // `ws` has this option, its types leave it out
}

function client(query = 'model=voice', options: { key?: string; protocols?: string[] } = {}): WebSocket {
  const { key = gateway.key, protocols = [] } = options;
  return new WebSocket(`ws://${address().host}/v1/realtime?${query}`, protocols, {
    headers: protocols.length > 0 ? {} : { authorization: `Bearer ${key}` },
  });
}

const opened = (socket: WebSocket) =>
  new Promise<WebSocket>((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
const closed = (socket: WebSocket) =>
  new Promise<{ code: number; reason: string }>(resolve =>
    socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
const nextOf = (socket: WebSocket, type: string) =>
  new Promise<Record<string, unknown>>(resolve => {
    const listen = (data: RawData) => {
      const event = JSON.parse(String(data)) as Record<string, unknown>;
      if (event.type !== type) return;
      socket.off('message', listen);
      resolve(event);
    };
    socket.on('message', listen);
  });

async function refusedWith(socket: WebSocket): Promise<{ status: number | undefined; code: unknown }> {
  return new Promise(resolve => {
    socket.on('error', () => {});
    socket.once('unexpected-response', async (_request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const { error } = JSON.parse(Buffer.concat(chunks).toString()) as { error: { code: unknown } };
      resolve({ status: response.statusCode, code: error.code });
    });
  });
}

const usage = {
  total_tokens: 160,
  input_tokens: 130,
  output_tokens: 30,
  input_token_details: {
    text_tokens: 50,
    audio_tokens: 80,
    cached_tokens: 30,
    cached_tokens_details: { text_tokens: 20, audio_tokens: 10 },
  },
  output_token_details: { text_tokens: 10, audio_tokens: 20 },
};
const costNanoUsd = 30n * 4000n + 30n * 400n + 70n * 32_000n + 10n * 16_000n + 20n * 64_000n;

function answer(socket: WebSocket, id = 'resp_1'): void {
  socket.send(JSON.stringify({ type: 'response.created', response: { id } }));
  socket.send(JSON.stringify({ type: 'response.output_text.delta', delta: 'Grüße' }));
  socket.send(JSON.stringify({ type: 'response.done', response: { id, status: 'completed', usage } }));
}

describe('a session by the official SDK', () => {
  test('events pass both ways as they are; the answer is metered in its buckets and priced', async () => {
    await start();
    const realtime = officialClient();
    const created = new Promise(resolve => realtime.once('session.created', resolve));
    await created;
    expect(fake.last.request.url).toBe('/v1/realtime?model=gpt-realtime');
    expect(fake.last.request.headers.authorization).toBe('Bearer sk-provider');
    const delta = new Promise<{ delta: string }>(resolve =>
      realtime.once('response.output_text.delta', resolve),
    );
    const done = new Promise(resolve => realtime.once('response.done', resolve));
    realtime.send({ type: 'response.create' });
    await expect.poll(() => fake.last.heard, { timeout: 10_000 }).toEqual(['{"type":"response.create"}']);
    answer(fake.last.socket);
    expect((await delta).delta).toBe('Grüße');
    await done;
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({
      operation: 'realtime',
      model: 'gpt-realtime',
      usageSource: 'reported',
      usage: { input: 30, cacheRead: 30, audioInput: 70, output: 10, audioOutput: 20 },
      costNanoUsd,
    });
    realtime.close();
    await closed(fake.last.socket);
  });

  test('a target that does not open is passed by before the client hears anything', async () => {
    await start();
    const realtime = officialClient('steady');
    await new Promise(resolve => realtime.once('session.created', resolve));
    realtime.close();
  });
});

test('what the caller said is written down by a model of its own, which is booked by itself', async () => {
  await start();
  const socket = await opened(client());
  const session = { audio: { input: { transcription: { model: 'whisper-1' } } } };
  fake.last.socket.send(JSON.stringify({ type: 'session.updated', session }));
  const type = 'conversation.item.input_audio_transcription.completed';
  fake.last.socket.send(JSON.stringify({ type, transcript: 'Hi', usage: { type: 'duration', seconds: 3 } }));
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ model: 'whisper-1', usage: { audioSeconds: 3 } });
  socket.close();
});

test('a browser says its key in a protocol, and is answered with the protocol it asked for', async () => {
  await start();
  const socket = client('model=voice', {
    protocols: ['realtime', `openai-insecure-api-key.${gateway.key}`, 'openai-beta.realtime-v1'],
  });
  await opened(socket);
  expect(socket.protocol).toBe('realtime');
  expect(JSON.stringify(fake.last.request.headers)).not.toContain(gateway.key);
  socket.close();
});

describe('the door', () => {
  test('no key, a wrong key, a model that the key has not, none, and one without sessions', async () => {
    await start({ section: {} });
    const key = await gateway.newKey({ models: ['steady'] });
    expect(await refusedWith(client('model=voice', { key: 'sk-strata-wrong' }))).toMatchObject({
      status: 401,
    });
    expect(await refusedWith(client('model=voice', { protocols: ['realtime'] }))).toMatchObject({
      status: 401,
    });
    expect(await refusedWith(client('model=voice', { key }))).toEqual({
      status: 404,
      code: 'model_not_found',
    });
    expect(await refusedWith(client(''))).toEqual({ status: 400, code: 'model_missing' });
  });

  test('a refusal of the provider is one of the gateway, in the shape of the API', async () => {
    await start();
    fake.refusal = 401;
    expect(await refusedWith(client())).toEqual({ status: 502, code: 'upstream_credential_refused' });
  });

  test('whoever asks HTTP for an upgrade elsewhere is answered as if they had not', async () => {
    await start();
    const { hostname, port, host } = address();
    const socket = connect(Number(port), hostname);
    socket.write(
      `GET /v1/models HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${gateway.key}\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n`,
    );
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('the end', () => {
  test('codes and reasons pass both ways; a client that breaks off ends the upstream', async () => {
    await start();
    const first = await opened(client());
    const ofUpstream = closed(fake.last.socket);
    first.close(4001, 'enough');
    expect(await ofUpstream).toEqual({ code: 4001, reason: 'enough' });
    const second = await opened(client());
    fake.last.socket.close(4002, 'session expired');
    expect(await closed(second)).toEqual({ code: 4002, reason: 'session expired' });
    const third = await opened(client());
    const gone = closed(fake.last.socket);
    third.terminate();
    expect((await gone).code).toBe(1001);
  });

  test('an upstream that breaks off is told in the own event for errors', async () => {
    await start();
    const socket = await opened(client());
    const error = nextOf(socket, 'error');
    fake.last.socket.terminate();
    expect((await error).error).toMatchObject({ code: 'upstream_stream_broken' });
    expect((await closed(socket)).code).toBe(1011);
  });

  test('an answer that was under way when the client left is charged by what passed of it', async () => {
    await start({ shared: { budgets: budgetOf('100') } });
    const socket = await opened(client());
    answer(fake.last.socket);
    await gateway.recorded(1);
    const passed = nextOf(socket, 'response.output_text.delta');
    fake.last.socket.send(JSON.stringify({ type: 'response.created', response: { id: 'resp_2' } }));
    fake.last.socket.send(JSON.stringify({ type: 'response.output_text.delta', delta: 'x'.repeat(4000) }));
    await passed;
    socket.terminate();
    const [, record] = await gateway.recorded(2);
    expect(record).toMatchObject({ outcome: 'cancelled', usageSource: 'estimated' });
    expect(record?.usage?.output).toBeGreaterThanOrEqual(1000);
    expect(record?.charges).toHaveLength(1);
  });

  test('a key that is stopped ends its sessions', async () => {
    await start();
    const { secret, key } = await gateway.deps.keys.create({
      ...{ name: 'x', tenant: 'acme', principal: 'user:ada' },
      scopes: allScopes,
    });
    const socket = await opened(client('model=voice', { key: secret.reveal() }));
    const error = nextOf(socket, 'error');
    const over = closed(socket);
    const ofUpstream = closed(fake.last.socket);
    await gateway.deps.keys.disable(key.id);
    expect((await error).error).toMatchObject({ type: 'authentication_error', code: 'key_revoked' });
    expect((await over).code).toBe(1008);
    await ofUpstream;
  });

  test('a drain lets sessions end by themselves, and says so to those that do not', async () => {
    await start();
    const socket = await opened(client());
    const error = nextOf(socket, 'error');
    const over = closed(socket);
    const drained = gateway.drain();
    expect((await error).error).toMatchObject({ code: 'draining' });
    expect((await over).code).toBe(1001);
    await drained;
  });

  test('a session has a size and a length', async () => {
    await start({ section: { realtime: { max_message_bytes: 2048, max_session_ms: 600 } } });
    const large = await opened(client());
    const tooLarge = closed(large);
    large.send('x'.repeat(4096));
    expect((await tooLarge).code).toBe(1009);
    const long = await opened(client());
    const error = nextOf(long, 'error');
    expect((await error).error).toMatchObject({ code: 'realtime_session_over' });
    expect((await closed(long)).code).toBe(1001);
  });
});

const budgetOf = (limit_usd: string) => [
  { name: 'all', tenant: 'acme', window: 'total', subject: 'principal:user:ada', limit_usd },
];

describe('[$-1] budgets', () => {
  test('a session that could cost more than is left is not opened', async () => {
    await start({ shared: { budgets: budgetOf('0.0001') } });
    const before = fake.sessions.length;
    expect(await refusedWith(client())).toMatchObject({ status: 402, code: 'budget_exceeded' });
    expect(fake.sessions).toHaveLength(before);
  });

  test('an answer that has begun is let through; then the session ends with a clear error', async () => {
    // The worst case of one answer: 128,000 tokens of sound in and 32,000 out.
    const worst = 128_000 * 32_000 + 32_000 * 64_000;
    await start({ shared: { budgets: budgetOf(String((worst + 1000) / 1e9)) } });
    const socket = await opened(client());
    const error = nextOf(socket, 'error');
    const done = nextOf(socket, 'response.done');
    answer(fake.last.socket);
    await done;
    expect((await error).error).toMatchObject({ type: 'insufficient_quota', code: 'budget_exceeded' });
    expect((await closed(socket)).code).toBe(1008);
    const records = await gateway.recorded(1);
    expect(records).toHaveLength(1);
    expect(records[0]?.charges).toMatchObject([{ nanoUsd: costNanoUsd }]);
  });
});

test('a client that does not read slows the upstream down instead of filling the memory', async () => {
  await start();
  const socket = await opened(client());
  socket.pause();
  const { socket: source } = fake.last;
  const chunk = JSON.stringify({ type: 'response.output_audio.delta', delta: 'x'.repeat(256 * 1024) });
  for (let index = 0; index < 128; index++) source.send(chunk);
  await expect.poll(() => source.bufferedAmount, { timeout: 10_000 }).toBeLessThan(32 * 1024 * 1024);
  // 32 MiB were written; what the gateway holds is bounded, so the rest waits at the source.
  expect(source.bufferedAmount).toBeGreaterThan(8 * 1024 * 1024);
  let received = 0;
  const all = new Promise<void>(resolve =>
    socket.on('message', data => {
      if (String(data).includes('output_audio') && ++received === 128) resolve();
    }),
  );
  socket.resume();
  await all;
  socket.close();
});
