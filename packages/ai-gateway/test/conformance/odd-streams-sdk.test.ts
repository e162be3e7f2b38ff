import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { protocols } from '../../src/protocols/registry.ts';
import { type RunningGateway, startGateway } from '../harness.ts';
import type { Case } from './cases.ts';
import { chatClient } from './chat-client.ts';
import { converseClient } from './converse-client.ts';
import { geminiClient } from './gemini-client.ts';
import { matrixSection } from './matrix-gateway.ts';
import { messagesClient } from './messages-client.ts';
import type { OddStream } from './odd-streams/odd-stream.ts';
import { oddStreams } from './odd-streams/odd-streams.ts';
import { responsesClient } from './responses-client.ts';

/** Odd streams of every upstream through the gateway into the official SDKs, the same protocol among them. */

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  gateway = await startGateway({ section: matrixSection(upstream.url) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const schema = { type: 'object', properties: { city: { type: 'string' } } };
const asked: Case = {
  name: 'odd',
  prompt: 'x',
  tools: [
    { name: 'get_weather', schema },
    { name: 'get_time', schema },
  ],
  expects: {},
};

function expectedOf({ sight }: OddStream): object {
  const { text, calls, finish, inputTokens, outputTokens } = sight;
  return {
    text,
    calls: calls.map(call => ({ ...call, arguments: JSON.parse(call.arguments || '{}') as unknown })),
    finish,
    inputTokens,
    outputTokens,
  };
}

const clients = [chatClient, responsesClient, messagesClient, geminiClient, converseClient];

describe.each(clients.map(each => [each.name, each] as const))('%s', (_client, client) => {
  // What passes raw is as odd for the SDK as its vendor makes it.
  const translated = oddStreams.filter(each => each.upstream !== client.protocol);

  test.each(translated.map(each => [each.upstream, each.name, each] as const))(
    'from %s: %s',
    async (name, _name, odd) => {
      const contentType = protocols.get(name)?.codec?.streamType ?? '';
      upstream.use([
        { op: 'headers', headers: { 'content-type': contentType } },
        { op: 'write', bytes: odd.bytes },
      ]);
      const { seen } = await client.ask(gateway, name, asked, true);
      const text = seen.text || seen.refusal;
      expect({ ...seen, text }).toMatchObject(expectedOf(odd));
    },
  );
});
