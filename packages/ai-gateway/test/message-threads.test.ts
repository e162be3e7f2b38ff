import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { beforeAll, expect, test } from 'vitest';
import { useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';

/** Conversations that the vendor's server holds (`thread`): where no server does, the SDK is told so that it sends them whole. */

const matrix = useMatrixGateway();
let sdk: Anthropic;

beforeAll(() => {
  sdk = new Anthropic({ baseURL: matrix.gateway.url, apiKey: matrix.gateway.key, maxRetries: 0 });
});

const weather = betaTool({
  name: 'get_weather',
  description: 'Tells the weather.',
  inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  run: ({ city }) => `sunny in ${city}`,
});
const prompt =
  '[[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]][[tool: get_weather {"city":"Paris"}]][[say: {{result}}]]';
const foreign = upstreams.map(({ name }) => name).filter(name => name !== 'anthropic-messages');

test.each(foreign)("the SDK's own tool loop ends on %s, whole and streamed", async model => {
  for (const stream of [false, true]) {
    const runner = sdk.beta.messages.toolRunner({
      model,
      max_tokens: 500,
      messages: [{ role: 'user', content: prompt }],
      tools: [weather],
      stream,
    });
    const { content } = await runner.runUntilDone();
    expect(content).toMatchObject([{ type: 'text', text: 'sunny in Paris' }]);
  }
});

test('the refusal says what is not supported in words that programs read', async () => {
  const asked = sdk.beta.messages.create({
    model: 'gemini',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'x' }],
    thread: { type: 'create' },
    betas: ['message-threads-2026-08-12'],
  });
  await expect(asked).rejects.toMatchObject({
    status: 400,
    error: {
      error: {
        type: 'invalid_request_error',
        details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] },
      },
    },
  });
});
