import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMissing, type PrivateServer } from '@strata/shared/testing/private-server.ts';
import { startRedis } from '@strata/shared/testing/redis-server.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CountingServer, startCountingServer } from './counting-server.ts';
import { errorOf, eventsOf, headersFor, messagesOf, openRawClient, type RawClient } from './raw-client.ts';
import { type Replica, startReplica } from './replica.ts';

/** Two gateway processes on one Redis. The one that owns the sessions is killed while calls run and streams are open. */
const rounds = sized({ ci: 3, soak: 100 });
const sessionsPerRound = 4;

let folder: string;
let redis: PrivateServer;
let server: CountingServer;
let survivor: Replica;

function start(): Promise<Replica> {
  const section = {
    servers: { server: { type: 'streamable-http', url: server.url, allow_private: true } },
    streams: { stream_after_ms: 20 },
  };
  return startReplica({ folder, redisUrl: redis.url, section });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-death-'));
  const started = await startRedis();
  if (isMissing(started)) throw new Error(started.missing);
  redis = started;
  server = await startCountingServer();
  survivor = await start();
});

afterAll(async () => {
  survivor?.process.kill('SIGKILL');
  await server?.close();
  await redis?.close();
  rmSync(folder, { recursive: true, force: true });
});

const call = (nonce: string, delayMs: number) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(nonce)},"method":"tools/call","params":{"name":"server__count","arguments":{"nonce":${JSON.stringify(nonce)},"delayMs":${delayMs}}}}`;

/** What became of one call: its own result, or the error that says that its owner was lost. */
function check(nonce: string, messages: readonly string[]): 'answered' | 'lost' {
  expect(messages, nonce).toHaveLength(1);
  const answer = JSON.parse(messages[0] ?? '');
  expect(answer.id).toBe(nonce);
  if (answer.error) {
    expect(answer.error.data).toMatchObject({ retryable: true });
    expect(['session_owner_lost', 'server_session_lost']).toContain(answer.error.data.reason);
    return 'lost';
  }
  expect(answer.result.content[0].text).toBe(nonce);
  return 'answered';
}

/** Calls at the replica that dies; what was cut off is fetched from the one that stays, by the last event seen. */
async function callAndResume(client: RawClient, nonce: string, elsewhere: Elsewhere, resumes: number[]) {
  const messages: string[] = [];
  let last = '';
  try {
    const response = await client.post(call(nonce, 300));
    for await (const { id, data } of eventsOf(response)) {
      last = id ?? last;
      if (data !== '') messages.push(data);
    }
  } catch {
    // the owner was killed
  }
  if (messages.length === 0 && last !== '') {
    const startedMs = performance.now();
    const resumed = await elsewhere.get({ 'last-event-id': last });
    expect(resumed.status).toBe(200);
    messages.push(...(await messagesOf(resumed)));
    resumes.push(performance.now() - startedMs);
  }
  // One that was killed before it had answered anything can only be missed by the client's own connection.
  return messages.length === 0 ? undefined : check(nonce, messages);
}

type Elsewhere = ReturnType<typeof elsewhereOf>;

function elsewhereOf(client: RawClient, owner: Replica) {
  const headers = {
    ...headersFor({ ...survivor.gateway, userKey: owner.gateway.userKey }),
    'mcp-session-id': client.sessionId,
    'mcp-protocol-version': '2025-11-25',
  };
  const { url } = survivor.gateway;
  return {
    post: (body: string) => fetch(url, { method: 'POST', headers, body }),
    get: (more: Record<string, string> = {}, signal?: AbortSignal) =>
      fetch(url, {
        headers: { ...headers, accept: 'text/event-stream', ...more },
        ...(signal && { signal }),
      }),
  };
}

test(
  '[MCP-2][F67] SIGKILL of the owner: nothing twice, nothing astray, every lost call answered, streams go on',
  async () => {
    const resumes: number[] = [];
    const outcomes = { answered: 0, lost: 0 };
    for (let round = 0; round < rounds; round++) {
      const owner = await start();
      const clients = await Promise.all(
        Array.from({ length: sessionsPerRound }, () => openRawClient(owner.gateway)),
      );
      const running: Promise<'answered' | 'lost' | undefined>[] = [];
      const streams: Promise<void>[] = [];
      for (const [index, client] of clients.entries()) {
        const elsewhere = elsewhereOf(client, owner);
        const cut = new AbortController();
        const stream = await elsewhere.get({}, cut.signal);
        expect(stream.status).toBe(200);
        running.push(callAndResume(client, `${round}.${index}.direct`, elsewhere, resumes));
        for (const delayMs of [0, 50, 150, 400]) {
          const nonce = `${round}.${index}.${delayMs}`;
          running.push(
            elsewhere
              .post(call(nonce, delayMs))
              .then(messagesOf)
              .then(messages => check(nonce, messages)),
          );
        }
        streams.push(
          (async () => {
            await Promise.all(running);
            cut.abort(); // the stream was not ended by anybody else until now
            await expect(stream.text()).rejects.toThrow();
          })(),
        );
      }
      await new Promise(resolve => setTimeout(resolve, 20 + ((round * 61) % 260)));
      owner.process.kill('SIGKILL');
      for (const outcome of await Promise.all(running)) if (outcome) outcomes[outcome]++;
      await Promise.all(streams);
      for (const client of clients) {
        const nonce = `${round}.${client.sessionId}.after`;
        expect(check(nonce, await messagesOf(await elsewhereOf(client, owner).post(call(nonce, 0))))).toBe(
          'answered',
        );
      }
    }
    const repeated = [...server.executions].filter(([, times]) => times > 1);
    expect(repeated).toEqual([]);
    expect(outcomes.lost).toBeGreaterThan(0);
    resumes.sort((left, right) => left - right);
    const median = resumes[Math.floor(resumes.length / 2)] ?? 0;
    console.info(
      `${rounds} kills:`,
      outcomes,
      `resumes ${resumes.length}, median ${median.toFixed(0)} ms, longest ${resumes.at(-1)?.toFixed(0)} ms`,
    );
    expect(median).toBeLessThan(sized({ ci: 2000, soak: 200 }));
  },
  sized({ ci: 120_000, soak: 1_800_000 }),
);

test('[S-2] the same 404 for a session that nobody owns', async () => {
  const headers = { ...headersFor(survivor.gateway), 'mcp-session-id': 'x'.repeat(32) };
  const response = await fetch(survivor.gateway.url, { method: 'POST', headers, body: call('n', 0) });
  expect(response.status).toBe(404);
  expect(errorOf(await response.text())?.data).toMatchObject({ reason: 'unknown_session' });
});
