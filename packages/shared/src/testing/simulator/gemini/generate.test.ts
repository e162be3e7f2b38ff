import {
  ApiError,
  type Content,
  FunctionCallingConfigMode,
  type FunctionDeclaration,
  type GenerateContentConfig,
  type GenerateContentResponse,
  GoogleGenAI,
  type Part,
  Type,
} from '@google/genai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '../simulator.ts';

let simulator: Simulator;
let client: GoogleGenAI;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl: `${simulator.url}/gemini` } });
});

afterAll(() => simulator.close());

const model = 'gemini-3-flash';
const getWeather: FunctionDeclaration = {
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ['city'] },
};
const tools = [{ functionDeclarations: [getWeather] }];

describe('generateContent, with the @google/genai package', () => {
  it('answers with the words of the user', async () => {
    const answer = await client.models.generateContent({ model, contents: 'Good morning' });
    expect(answer.text).toBe('You said: Good morning');
    expect(answer.usageMetadata).toMatchObject({
      promptTokenCount: 6,
      candidatesTokenCount: 6,
      totalTokenCount: 12,
    });
  });

  it.each<[string, string, GenerateContentConfig]>([
    ['a text', '[[words: 40]]', {}],
    ['a call', 'What is the weather in Paris?', { tools }],
    [
      'words and parallel calls',
      '[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]',
      { tools },
    ],
    ['thoughts', '[[think: I wonder.]] [[say: Well.]]', { thinkingConfig: { includeThoughts: true } }],
    ['thoughts that are not shown', '[[think: I wonder.]] [[say: Well.]]', {}],
    ['a refusal', '[[refuse]]', {}],
    ['an answer that is cut', '[[words: 40]]', { maxOutputTokens: 5 }],
    ['no words at all', '[[say: ]]', {}],
    ['surrogate pairs', '[[say: a😀😀😀b👩‍👩‍👧c]]', {}],
  ])('streams %s, and it adds up to the whole answer', async (_name, contents, config) => {
    const whole = await client.models.generateContent({ model, contents, config });
    const chunks: GenerateContentResponse[] = [];
    for await (const chunk of await client.models.generateContentStream({ model, contents, config }))
      chunks.push(chunk);
    const last = chunks.at(-1);
    expect(joined(chunks)).toEqual(withoutIds(partsOf(whole)));
    expect(last?.candidates?.[0]?.finishReason).toBe(whole.candidates?.[0]?.finishReason);
    expect(last?.usageMetadata).toEqual(whole.usageMetadata);
  });

  it('sends a JSON array to those who do not ask for events', async () => {
    const response = await fetch(
      `${simulator.url}/gemini/v1beta/models/${model}:streamGenerateContent?key=any`,
      {
        method: 'POST',
        body: JSON.stringify({ contents: [{ parts: [{ text: 'Hi' }] }] }),
      },
    );
    expect(response.headers.get('content-type')).toBe('application/json');
    const chunks = (await response.json()) as GenerateContentResponse[];
    expect(joined(chunks)).toEqual([{ text: 'You said: Hi' }]);
  });

  it('takes back a call with its signature, and quotes the response', async () => {
    const ask: Content = { role: 'user', parts: [{ text: 'What is the weather in Paris?' }] };
    const first = await client.models.generateContent({ model, contents: [ask], config: { tools } });
    const [call] = first.functionCalls ?? [];
    expect(call).toMatchObject({ name: 'get_weather', args: { city: 'Paris' } });
    const said = first.candidates?.[0]?.content;
    if (!said || !call) throw new Error('no call');
    const functionResponse = { id: call.id ?? '', name: 'get_weather', response: { output: 'Sunny' } };
    const result: Content = { role: 'user', parts: [{ functionResponse }] };
    const second = await client.models.generateContent({
      model,
      contents: [ask, said, result],
      config: { tools },
    });
    expect(second.text).toBe('The tool answered: "Sunny".');
    const unsigned: Content = { role: 'model', parts: [{ functionCall: call }] };
    await expect(
      client.models.generateContent({ model, contents: [ask, unsigned, result], config: { tools } }),
    ).rejects.toThrow('missing a thought_signature');
  });

  it('must call a function when the mode is ANY', async () => {
    const config = { tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } } };
    const answer = await client.models.generateContent({ model, contents: 'Hello', config });
    expect(answer.functionCalls).toHaveLength(1);
  });

  it('makes structured output from either kind of schema', async () => {
    const ask = (config: GenerateContentConfig) =>
      client.models.generateContent({
        model,
        contents: 'Paris',
        config: { responseMimeType: 'application/json', ...config },
      });
    const openApi = await ask({
      responseSchema: { type: Type.ARRAY, items: { type: Type.INTEGER }, minItems: '2' },
    });
    expect(JSON.parse(openApi.text ?? '')).toEqual([1, 1]);
    const jsonSchema = await ask({
      responseJsonSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
    });
    expect(JSON.parse(jsonSchema.text ?? '')).toEqual({ ok: true });
  });

  it('counts the same tokens before as on the bill', async () => {
    const contents = 'What is the weather in Paris?';
    const { totalTokens } = await client.models.countTokens({ model, contents });
    const answer = await client.models.generateContent({ model, contents });
    expect(answer.usageMetadata?.promptTokenCount).toBe(totalTokens);
  });

  it('keeps up a chat', async () => {
    const chat = client.chats.create({ model });
    await chat.sendMessage({ message: 'One' });
    expect((await chat.sendMessage({ message: 'Two' })).text).toBe('You said: Two');
    expect(chat.getHistory()).toHaveLength(4);
  });

  it.each<[string, string, object, number, string]>([
    [
      'an unknown model',
      'gemini-0',
      { contents: [{ parts: [{ text: 'a' }] }] },
      404,
      'models/gemini-0 is not found',
    ],
    ['no contents', model, {}, 400, 'contents is not specified'],
    [
      'an unknown field',
      model,
      { contents: [{ parts: [{ text: 'a' }] }], foo: 1 },
      400,
      'Unknown name "foo": Cannot find field.',
    ],
    ['a wrong role', model, { contents: [{ role: 'bot', parts: [{ text: 'a' }] }] }, 400, 'valid role'],
    [
      'a response without a call',
      model,
      { contents: [{ role: 'user', parts: [{ functionResponse: { name: 'f', response: {} } }] }] },
      400,
      'number of function response parts is equal',
    ],
  ])('refuses %s', async (_name, name, body, status, message) => {
    const response = await fetch(`${simulator.url}/gemini/v1beta/models/${name}:generateContent`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'any' },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: { code: number; message: string } };
    expect(error.code).toBe(status);
    expect(error.message).toContain(message);
  });

  it('says when to come back', async () => {
    const failure = await client.models
      .generateContent({ model, contents: 'Hi [[fault: status=429;retry-after=12]]' })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject({ status: 429 });
    expect(String(failure)).toContain('"retryDelay":"12s"');
  });

  it('says in the stream that it failed', async () => {
    const stream = await client.models.generateContentStream({
      model,
      contents: 'Hi [[fault: error-event-after=1]]',
    });
    const read = async () => {
      for await (const chunk of stream) void chunk;
    };
    await expect(read()).rejects.toThrow('UNAVAILABLE');
  });
});

function partsOf(response: GenerateContentResponse): Part[] {
  return response.candidates?.[0]?.content?.parts ?? [];
}

/** The parts of all chunks, texts of one kind joined. */
function joined(chunks: readonly GenerateContentResponse[]): Part[] {
  const parts: Part[] = [];
  for (const part of chunks.flatMap(partsOf)) {
    const last = parts.at(-1);
    if (last?.text !== undefined && part.text !== undefined && last.thought === part.thought)
      last.text += part.text;
    else parts.push({ ...part });
  }
  return withoutIds(parts);
}

function withoutIds(parts: readonly Part[]): Part[] {
  return parts.map(part =>
    part.functionCall ? { ...part, functionCall: { ...part.functionCall, id: '' } } : part,
  );
}
