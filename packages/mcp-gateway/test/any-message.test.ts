import { isSpecType } from '@modelcontextprotocol/client';
import {
  JSONRPCMessageSchema,
  ListPromptsResultSchema,
  ListResourcesResultSchema,
  ListResourceTemplatesResultSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { type Place, placesIn } from '@strata/shared/testing/json-places.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Era } from '../src/domain/protocol-versions.ts';
import { type AnsweringServer, startAnsweringServer } from './answering-server.ts';
import { anyJson, textWith } from './hostile-values.ts';
import { createModernClient } from './modern-client.ts';
import { errorOf, openRawClient } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/**
 * Whatever a server or a client writes, in whatever place of its messages: the other side gets an answer of the protocol, the gateway
 * goes on, and nobody else notices (M24).
 */
const eras = ['legacy', 'modern'] as const;
const runs = Number(process.env.RUNS ?? sized({ ci: 25, soak: 2000 }));
let hostile: Record<Era, AnsweringServer>;
let good: AnsweringServer;
let gateway: TestGateway;

beforeAll(async () => {
  hostile = { legacy: await startAnsweringServer('legacy'), modern: await startAnsweringServer('modern') };
  good = await startAnsweringServer('legacy');
  const at = (server: AnsweringServer, era: Era) => ({
    type: 'streamable-http',
    url: server.url,
    allow_private: true,
    era,
  });
  gateway = await startGateway({
    listen: { port: 0 },
    servers: {
      legacy: at(hostile.legacy, 'legacy'),
      modern: at(hostile.modern, 'modern'),
      good: at(good, 'legacy'),
    },
    sessions: { max_per_principal: 50 },
  });
});

afterAll(async () => {
  await gateway?.close();
  for (const server of [hostile?.legacy, hostile?.modern, good]) await server?.close();
});

const requests: Readonly<Record<string, (server: string) => Record<string, unknown>>> = {
  'tools/list': () => ({}),
  'prompts/list': () => ({}),
  'resources/list': () => ({}),
  'resources/templates/list': () => ({}),
  'tools/call': server => ({ name: `${server}__plain`, arguments: { mark: 'a' } }),
  'prompts/get': server => ({ name: `${server}__hello`, arguments: { who: 'a' } }),
  'resources/read': server => ({ uri: `${server}+note://a` }),
  'completion/complete': server => ({
    ref: { type: 'ref/prompt', name: `${server}__hello` },
    argument: { name: 'who', value: 'a' },
  }),
};
const methods = Object.keys(requests);

interface Client {
  ask(id: string, method: string, params: object): Promise<readonly string[]>;
}

let count = 0;

/** A client that nobody was before: nothing that is kept for another is kept for it. */
async function openClient(era: Era): Promise<Client> {
  const capabilities = { elicitation: {}, sampling: {}, roots: {}, experimental: { n: { count: ++count } } };
  if (era === 'modern') {
    const modern = createModernClient(gateway, { capabilities });
    return { ask: async (id, method, params) => (await modern.ask(id, method, { ...params })).messages };
  }
  const raw = await openRawClient(gateway, { capabilities });
  return {
    ask: (id, method, params) =>
      raw.ask(JSON.stringify({ jsonrpc: '2.0', id: 0, method, params }).replace('"id":0', `"id":${id}`)),
  };
}

const broken = new Set(['internal', 'internal_error', 'call_timeout', 'list_timeout']);

/** Exactly one answer, under the id that asked, in a form that the official client reads. */
function expectSound(messages: readonly string[], id: string): { result?: unknown; error?: unknown } {
  const answers = messages.filter(message => !('method' in JSON.parse(message)));
  expect(answers).toHaveLength(1);
  const [answer = ''] = answers;
  const parsed = JSON.parse(answer);
  expect(JSON.stringify(parsed.id), answer.slice(0, 500)).toBe(id);
  expect(JSONRPCMessageSchema.safeParse(parsed).success, answer.slice(0, 500)).toBe(true);
  expect(broken, answer.slice(0, 500)).not.toContain(errorOf(answer)?.data?.reason);
  const missing = parsed.result?._meta?.['strata/unavailable_servers'];
  if (Array.isArray(missing)) for (const { reason } of missing) expect(broken).not.toContain(reason);
  return parsed;
}

/** How the official clients of each era read the lists. */
const lists: Readonly<Record<string, Readonly<Record<Era, (value: unknown) => boolean>>>> = {
  'tools/list': {
    legacy: value => ListToolsResultSchema.safeParse(value).success,
    modern: isSpecType.ListToolsResult,
  },
  'prompts/list': {
    legacy: value => ListPromptsResultSchema.safeParse(value).success,
    modern: isSpecType.ListPromptsResult,
  },
  'resources/list': {
    legacy: value => ListResourcesResultSchema.safeParse(value).success,
    modern: isSpecType.ListResourcesResult,
  },
  'resources/templates/list': {
    legacy: value => ListResourceTemplatesResultSchema.safeParse(value).success,
    modern: isSpecType.ListResourceTemplatesResult,
  },
};

function expectReadableList(era: Era, method: string, result: unknown): void {
  const text = JSON.stringify(result);
  expect(lists[method]?.[era](result), text.slice(0, 2000)).toBe(true);
  if (method === 'tools/list') expect(text).toContain('"good__mark"');
}

const markOf = (messages: readonly string[]) =>
  JSON.stringify(JSON.parse(messages.at(-1) ?? '').result?.content?.[0]);

async function expectOthersUnharmed(client: Client): Promise<void> {
  const asked = await client.ask('"good"', 'tools/call', { name: 'good__plain', arguments: {} });
  expect(markOf(asked)).toBe('{"type":"text","text":"a"}');
  expect(gateway.logs.filter(line => line.msg === 'request failed')).toEqual([]);
}

describe.for(eras)('a server of the %s era', serverEra => {
  describe.for(eras)('before a client of the %s era', clientEra => {
    it.for(methods)(
      '[MCP-7][M24] may answer anything in any place: %s',
      { timeout: 120_000 },
      async method => {
        const server = hostile[serverEra];
        const answer = await answerTo(server, method);
        const places = placesIn(answer);
        await fc.assert(
          fc.asyncProperty(fc.constantFrom(...places), anyJson, async (place: Place, value) => {
            server.twist = (asked, whole) => (asked === method ? textWith(whole, place, value) : undefined);
            const client = await openClient(clientEra);
            const id = '"mine"';
            const { result } = expectSound(
              await client.ask(id, method, requests[method]?.(serverEra) ?? {}),
              id,
            );
            if (method in lists) expectReadableList(clientEra, method, result);
            await expectOthersUnharmed(client);
          }),
          { numRuns: runs },
        );
      },
    );
  });
});

async function answerTo(server: AnsweringServer, method: string): Promise<object> {
  let seen: object | undefined;
  server.twist = (asked, whole) => {
    if (asked === method) seen ??= whole;
    return undefined;
  };
  const client = await openClient('legacy');
  const era = server === hostile.modern ? 'modern' : 'legacy';
  expectSound(await client.ask('1', method, requests[method]?.(era) ?? {}), '1');
  if (seen === undefined) throw new Error(`${method} did not reach the server`);
  return seen;
}

const meta = {
  progressToken: 'p',
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  'vendor/key': { a: [1] },
};
const asked: Readonly<Record<string, object>> = {
  'tools/call': { name: 'good__mark', arguments: { mark: 'a', other: [{ b: 1 }] }, task: { ttl: 1 } },
  'tools/list': { cursor: 'x' },
  'prompts/get': { name: 'good__hello', arguments: { who: 'a' } },
  'resources/read': { uri: 'good+note://a' },
  'resources/subscribe': { uri: 'note://a' },
  'completion/complete': {
    ref: { type: 'ref/resource', uri: 'note://{id}' },
    argument: { name: 'id', value: 'a' },
    context: { arguments: { a: 'b' } },
  },
  'logging/setLevel': { level: 'info' },
  'tasks/get': { taskId: 'good.aaaaaaaaaaaaaaaaaaaaaa.t' },
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: { form: {} }, tasks: {}, extensions: { a: {} } },
    clientInfo: { name: 'c', version: '1' },
  },
  'notifications/cancelled': { requestId: 1, reason: 'x' },
  'notifications/progress': { progressToken: 1, progress: 1 },
};

/** Statuses of the protocol: answered, accepted, refused, unknown. Whatever else comes is a failure of the gateway. */
const sound = new Set([200, 202, 400, 404]);

async function expectRefusedOrAnswered(response: Response, sent: string): Promise<void> {
  const text = await response.text();
  expect(sound, `${response.status} ${text.slice(0, 300)} to ${sent.slice(0, 1000)}`).toContain(
    response.status,
  );
  for (const message of text.split('\n').map(line => line.replace(/^data: ?/, ''))) {
    if (!message.startsWith('{')) continue;
    const { error } = JSON.parse(message) as { error?: { code?: unknown; data?: { reason?: string } } };
    if (error) expect(Number.isInteger(error.code), message.slice(0, 300)).toBe(true);
    expect(broken, `${message.slice(0, 300)} to ${sent.slice(0, 1000)}`).not.toContain(error?.data?.reason);
  }
}

describe('a client with a session', () => {
  it.for(Object.keys(asked))(
    '[MCP-7][M24] may ask anything in any place: %s',
    { timeout: 120_000 },
    async method => {
      const client = await openRawClient(gateway);
      const isNotification = method.startsWith('notifications/');
      const message = {
        jsonrpc: '2.0',
        ...(!isNotification && { id: 7 }),
        method,
        params: { ...asked[method], _meta: meta },
      };
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...placesIn(message)), anyJson, async (place: Place, value) => {
          const sent = textWith(message, place, value);
          await expectRefusedOrAnswered(await client.post(sent), sent);
          const [answer] = await client.call('"good"', 'good__plain');
          expect(markOf([answer ?? ''])).toBe('{"type":"text","text":"a"}');
        }),
        { numRuns: runs },
      );
    },
  );
});

const question = '{"jsonrpc":"2.0","id":"s","method":"elicitation/create","params":{"message":"a"}}';

describe('a client that is asked', () => {
  it('[MCP-7][M24] may answer anything in any place, and its call goes on', {
    timeout: 120_000,
  }, async () => {
    const client = await openRawClient(gateway, { capabilities: { elicitation: {} } });
    const answer = {
      jsonrpc: '2.0',
      id: 'x',
      result: {
        action: 'accept',
        content: { a: 1 },
        _meta: { 'io.modelcontextprotocol/related-task': { taskId: 't' } },
      },
    };
    const places = placesIn(answer).filter(([first]) => first !== undefined && first !== 'id');
    hostile.legacy.twist = () => undefined;
    hostile.legacy.before = [question];
    try {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...places), anyJson, async (place: Place, value) => {
          const call = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"legacy__plain"}}';
          const messages = await client.ask(call);
          const { id } = JSON.parse(messages[0] ?? '');
          const sent = textWith({ ...answer, id }, place, value);
          await expectRefusedOrAnswered(await client.post(sent), sent);
          expect(markOf(messages)).toBe('{"type":"text","text":"a"}');
        }),
        { numRuns: runs },
      );
    } finally {
      hostile.legacy.before = [];
    }
  });
});

const asksModern = Object.keys(asked).filter(method => /call|list|get|read|complete/.test(method));

describe('a client without sessions', () => {
  it.for([...asksModern, 'server/discover', 'subscriptions/listen'])(
    '[MCP-7][M24] may ask anything in any place: %s',
    { timeout: 120_000 },
    async method => {
      const listen = { notifications: { toolsListChanged: true, resourceSubscriptions: ['note://a'] } };
      const own = method === 'subscriptions/listen' ? listen : asked[method];
      const more = { inputResponses: { q1: { action: 'accept', content: {} } }, requestState: 'x' };
      const params = { ...own, ...(method === 'tools/call' && more) };
      const client = createModernClient(gateway);
      await fc.assert(
        fc.asyncProperty(fc.nat(), anyJson, async (which, value) => {
          const leaving = new AbortController();
          let sent = '';
          const rewrite = (body: string) => {
            const whole: unknown = JSON.parse(body);
            const places = placesIn(whole);
            sent = textWith(whole, places[which % places.length] ?? [], value);
            return sent;
          };
          const response = await client.send('7', method, params, { rewrite, meta, signal: leaving.signal });
          const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
          if (isStream && method === 'subscriptions/listen') leaving.abort();
          else await expectRefusedOrAnswered(response, sent);
          const good = await client.ask('1', 'tools/call', { name: 'good__plain', arguments: {} });
          expect(markOf(good.messages)).toBe('{"type":"text","text":"a"}');
        }),
        { numRuns: runs },
      );
    },
  );
});
