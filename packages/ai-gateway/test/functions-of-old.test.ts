import OpenAI from 'openai';
import { beforeAll, expect, test } from 'vitest';
import { useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';

/** `functions` and `function_call`, as clients of 2023 send them, on upstreams that know only tools. */

const matrix = useMatrixGateway();
let sdk: OpenAI;

beforeAll(() => {
  sdk = new OpenAI({ baseURL: `${matrix.gateway.url}/v1`, apiKey: matrix.gateway.key, maxRetries: 0 });
});

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const functions = [{ name: 'get_weather', description: 'Tells the weather.', parameters }];
const first = {
  role: 'user' as const,
  content: '[[tool: get_weather {"city":"Rome"}]][[tool: get_weather {"city":"Oslo"}]][[say: {{result}}]]',
};
const called = (city: string) => ({ name: 'get_weather', arguments: JSON.stringify({ city }) });

const foreign = upstreams.map(({ name }) => name).filter(name => name !== 'openai-chat');

async function ask(
  model: string,
  messages: OpenAI.ChatCompletionMessageParam[],
  isStream: boolean,
): Promise<Pick<OpenAI.ChatCompletion.Choice, 'message' | 'finish_reason'>> {
  const body = { model, messages, functions };
  if (!isStream) {
    const { data, response } = await sdk.chat.completions.create(body).withResponse();
    expect(response.headers.get('x-strata-changed') ?? '').not.toMatch(/function/);
    return data.choices[0] ?? expect.fail();
  }
  const message = {
    role: 'assistant' as const,
    content: '',
    refusal: null,
    function_call: { name: '', arguments: '' },
  };
  let finish: OpenAI.ChatCompletion.Choice['finish_reason'] = 'stop';
  for await (const chunk of await sdk.chat.completions.create({ ...body, stream: true })) {
    const [choice] = chunk.choices;
    message.content += choice?.delta.content ?? '';
    message.function_call.name += choice?.delta.function_call?.name ?? '';
    message.function_call.arguments += choice?.delta.function_call?.arguments ?? '';
    expect(choice?.delta.tool_calls).toBeUndefined();
    finish = choice?.finish_reason ?? finish;
  }
  return { message, finish_reason: finish };
}

test.each(foreign)('a loop of two calls on %s, whole and streamed', async model => {
  for (const isStream of [false, true]) {
    const messages: OpenAI.ChatCompletionMessageParam[] = [first];
    for (const city of ['Rome', 'Oslo']) {
      const { message, finish_reason } = await ask(model, messages, isStream);
      expect([finish_reason, message.function_call]).toEqual(['function_call', called(city)]);
      messages.push({ role: 'assistant', content: null, function_call: called(city) });
      messages.push({ role: 'function', name: 'get_weather', content: `sunny in ${city}` });
    }
    const { message, finish_reason } = await ask(model, messages, isStream);
    expect([finish_reason, message.content]).toEqual(['stop', 'sunny in Oslo']);
  }
});

test.each(foreign)('a function that must be called, and one that must not, on %s', async model => {
  const messages = [{ role: 'user' as const, content: 'Hello.' }];
  const forced = await sdk.chat.completions.create({
    ...{ model, messages, functions },
    function_call: { name: 'get_weather' },
  });
  expect(forced.choices[0]?.message.function_call?.name).toBe('get_weather');
  const none = await sdk.chat.completions.create({ model, messages, functions, function_call: 'none' });
  expect(none.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: expect.any(String) } });
});
