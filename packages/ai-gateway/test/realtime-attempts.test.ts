import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type RunningGateway, startGateway } from './harness.ts';
import { FakeRealtime } from './support/fake-realtime.ts';

/** Sessions of the Realtime API go through the same decisions as every other attempt, and are traced, measured and booked like one. */

const prices = { input: '4', cache_read: '0.4', output: '16', audio_input: '32', audio_output: '64' };
const usage = { input_tokens: 10, output_tokens: 5 };

let first: FakeRealtime;
let second: FakeRealtime;
let gateway: RunningGateway;
const open: WebSocket[] = [];

beforeEach(async () => {
  first = new FakeRealtime();
  second = new FakeRealtime();
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.terminate();
  await gateway.close();
  first.close();
  second.close();
});

async function start(more: { section?: object; keepsRecords?: boolean } = {}): Promise<void> {
  const account = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  const target = { model: 'gpt-realtime', prices };
  gateway = await startGateway({
    ...(more.keepsRecords !== undefined && { keepsRecords: more.keepsRecords }),
    section: {
      providers: {
        one: { ...account, base_url: await first.start() },
        two: { ...account, base_url: await second.start() },
      },
      models: {
        voice: {
          targets: [
            { provider: 'one', ...target },
            { provider: 'two', ...target },
          ],
        },
        single: { targets: [{ provider: 'one', ...target }] },
        scribe: { targets: [{ provider: 'one', model: 'gpt-4o-transcribe', prices }] },
      },
      ...more.section,
    },
  });
}

function dial(query: string, headers: Record<string, string> = {}): WebSocket {
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime?${query}`, {
    headers: { authorization: `Bearer ${gateway.key}`, ...headers },
  });
  socket.on('error', () => {});
  open.push(socket);
  return socket;
}

async function opened(query: string, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = dial(query, headers);
  await once(socket, 'open');
  return socket;
}

async function refused(query: string): Promise<{ status: number; code: string; retryAfter?: string }> {
  const socket = dial(query);
  const [, response] = await once(socket, 'unexpected-response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { error } = JSON.parse(Buffer.concat(chunks).toString()) as { error: { code: string } };
  return { status: response.statusCode, code: error.code, retryAfter: response.headers['retry-after'] };
}

describe('the same decisions', () => {
  test('a target that fails is passed by, each attempt is booked, and its circuit opens for everybody', async () => {
    await start({ section: { breaker: { failures: 2, open_ms: 60_000 } } });
    first.refusal = 500;
    for (let index = 0; index < 4; index++) await opened('model=voice');
    expect(first.asked).toBe(2);
    expect(second.sessions).toHaveLength(4);
    const failed = gateway.records.filter(({ outcome }) => outcome === 'failed');
    expect(failed.map(({ provider, failure }) => [provider, failure])).toEqual([
      ...new Array(2).fill(['one', 'transient']),
      ...new Array(2).fill(['one', 'not-asked']),
    ]);
    const left = await refused('model=single');
    expect(left).toMatchObject({ status: 503, code: 'target_resting' });
    expect(first.asked).toBe(2);
  });

  test("a caller's own fault is answered, without a second target and without a mark on the first", async () => {
    await start({ section: { breaker: { failures: 1 } } });
    first.refusal = 400;
    expect(await refused('model=voice')).toMatchObject({ status: 400, code: 'upstream_refused_request' });
    expect(second.asked).toBe(0);
    first.refusal = undefined;
    await opened('model=voice');
    expect(first.sessions).toHaveLength(1);
  });

  test('a target that limits the rate is left alone, and the client is told for how long', async () => {
    await start();
    first.refusal = 429;
    first.retryAfter = '30';
    expect(await refused('model=single')).toEqual({
      status: 429,
      code: 'upstream_rate_limited',
      retryAfter: '30',
    });
    const asked = first.asked;
    await refused('model=single');
    expect(first.asked).toBe(asked);
    await opened('model=voice');
    expect(second.sessions).toHaveLength(1);
  });

  test('an upstream that breaks off in the middle counts against its target', async () => {
    await start({ section: { breaker: { failures: 1, open_ms: 60_000 } } });
    const socket = await opened('model=voice');
    first.last.socket.terminate();
    await once(socket, 'close');
    await opened('model=voice');
    expect(second.sessions).toHaveLength(1);
  });
});

describe('what is seen of it', () => {
  test('a span of the session and one of each attempt, in the trace of the caller, with all that was used', async () => {
    await start();
    first.refusal = 503;
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const socket = await opened('model=voice', { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    for (const id of ['resp_1', 'resp_2']) {
      second.last.socket.send(JSON.stringify({ type: 'response.created', response: { id } }));
      second.last.socket.send(JSON.stringify({ type: 'response.done', response: { id, usage } }));
    }
    await gateway.recorded(3);
    socket.close(1000);
    const spansOf = () => gateway.deps.telemetry.recentSpans?.ofTrace(traceId) ?? [];
    await expect.poll(() => spansOf().length, { timeout: 20_000 }).toBe(3);
    const session = spansOf().find(({ kind }) => kind === 'server');
    const cost = 2 * (10 * 4000 + 5 * 16_000);
    expect(session).toMatchObject({
      name: 'realtime voice',
      parent_span_id: '00f067aa0ba902b7',
      status: 'unset',
      attributes: {
        'gen_ai.operation.name': 'realtime',
        'gen_ai.usage.input_tokens': 20,
        'gen_ai.usage.output_tokens': 10,
        'strata.cost.nano_usd': cost,
        'strata.attempt': 2,
      },
    });
    const attempts = spansOf().filter(({ kind }) => kind === 'client');
    expect(attempts).toMatchObject([
      { status: 'error', attributes: { 'error.type': 'transient', 'strata.provider': 'one' } },
      { status: 'unset', attributes: { 'strata.provider': 'two', 'strata.cost.nano_usd': cost } },
    ]);
    expect(second.last.request.headers.traceparent).toBe(`00-${traceId}-${attempts[1]?.span_id}-01`);
  });

  test('metrics: attempts, tokens and cost', async () => {
    await start({ keepsRecords: false });
    first.refusal = 503;
    const socket = await opened('model=voice');
    second.last.socket.send(JSON.stringify({ type: 'response.created', response: { id: 'r' } }));
    second.last.socket.send(JSON.stringify({ type: 'response.done', response: { id: 'r', usage } }));
    await once(socket, 'message');
    const text = () => gateway.deps.telemetry.prometheus();
    await expect
      .poll(text, { timeout: 20_000 })
      .toMatch(/gen_ai_client_token_usage_\w*sum\{[^}]*gen_ai_operation_name="realtime"[^}]*\} \d+/);
    expect(await text()).toMatch(
      /gen_ai_client_operation_duration_\w*count\{[^}]*error_type="transient"[^}]*\} 1/,
    );
    expect(await text()).toMatch(/strata_ai_cost_nano_usd_total\{[^}]*\} \d+/);
  });
});

describe('sessions that only write down what is said', () => {
  const type = 'conversation.item.input_audio_transcription.completed';
  const transcription = { model: 'scribe', language: 'de' };

  test('by a model in the query, called in events as the gateway calls it; the transcript is booked', async () => {
    await start();
    const socket = await opened('intent=transcription&model=scribe');
    expect(first.last.request.url).toBe('/v1/realtime?intent=transcription');
    const session = { type: 'transcription', audio: { input: { transcription } } };
    socket.send(JSON.stringify({ type: 'session.update', session }));
    await expect.poll(() => first.last.heard.length, { timeout: 20_000 }).toBe(1);
    expect(JSON.parse(first.last.heard[0] ?? '')).toEqual({
      type: 'session.update',
      session: {
        type: 'transcription',
        audio: { input: { transcription: { ...transcription, model: 'gpt-4o-transcribe' } } },
      },
    });
    const updated = { audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } };
    first.last.socket.send(JSON.stringify({ type: 'session.updated', session: updated }));
    const told = { type, transcript: 'Hallo', usage: { type: 'tokens', input_tokens: 30, output_tokens: 4 } };
    first.last.socket.send(JSON.stringify(told));
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ alias: 'scribe', model: 'gpt-4o-transcribe', outcome: 'answered' });
    expect(record?.costNanoUsd).toBe(30n * 4000n + 4n * 16_000n);
  });

  test('without one, at the model of the configuration; without that, told so', async () => {
    await start({ section: { realtime: { transcription_model: 'scribe' } } });
    await opened('intent=transcription');
    expect(first.last.request.url).toBe('/v1/realtime?intent=transcription');
    expect(await refused('intent=other')).toMatchObject({ status: 400, code: 'model_missing' });
    await gateway.close();
    first.close();
    first = new FakeRealtime();
    second.close();
    second = new FakeRealtime();
    await start();
    expect(await refused('intent=transcription')).toMatchObject({ status: 400, code: 'model_missing' });
  });
});
