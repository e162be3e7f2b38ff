import { describe, expect, test } from 'vitest';
import type { Codec } from '../../src/domain/codec.ts';
import type { JsonObject } from '../../src/domain/json-object.ts';
import { Losses } from '../../src/domain/losses.ts';
import { adaptRequest } from '../../src/pipeline/adapt-request.ts';
import { protocols } from '../../src/protocols/registry.ts';
import { upstreams } from '../conformance/upstreams.ts';
import { requests } from './requests.ts';

/** Everything that a client can say, in turn: the upstream is told, or the client is told that it was not. */

interface Sent {
  readonly text: string;
  readonly losses: readonly string[];
}

function codecOf(protocol: string): Codec {
  const codec = protocols.get(protocol)?.codec;
  if (codec === undefined) throw new Error(`${protocol} has no codec`);
  return codec;
}

function send(from: string, to: string, body: JsonObject): Sent {
  const target = codecOf(to);
  const asked = codecOf(from).decodeRequest(structuredClone(body), { model: 'm', isStream: false });
  const { request } = adaptRequest(asked, target.lacks);
  const losses = new Losses();
  const model = upstreams.find(({ name }) => name === to)?.thinkingModel ?? 'm';
  const written = target.encodeRequest(request, { provider: 'p', model, mayAskStreamUsage: false }, losses);
  const all = losses.all.map(({ parameter, action }) => `${parameter}=${action}`);
  return { text: JSON.stringify(written), losses: all };
}

/** Also as bytes in base64, and without what a name may not hold. */
function tells(text: string, word: string): boolean {
  return text.includes(word) || text.includes(Buffer.from(word).toString('base64').slice(0, -4));
}

describe.each(Object.entries(requests))('[AI-6] %s', (from, { base, additions }) => {
  test.each(upstreams.map(({ name }) => [name] as const))('to %s', to => {
    const plain = send(from, to, base);
    expect(plain.losses).toEqual([]);
    const silent = additions.filter(({ add, canary, without }) => {
      const { text, losses } = send(from, to, add(base));
      const before = without === undefined ? plain : send(from, to, without(base));
      const isTold = canary === undefined ? text !== before.text : tells(text, canary);
      return !isTold && losses.length === 0;
    });
    expect(silent.map(({ name, add }) => `${name} ${JSON.stringify(add({}))}`)).toEqual([]);
  });
});

test.each([
  ['openai-chat', 'bedrock-converse', '"audio":{"format":"mp3"'],
  ['openai-chat', 'gemini', '"mimeType":"audio/mp3"'],
  ['openai-chat', 'openai-responses', '"format":"mp3"'],
  ['bedrock-converse', 'openai-chat', '"format":"mp3"'],
  ['gemini', 'openai-chat', '"format":"mp3"'],
])('[AI-6] sound from %s to %s keeps its format', (from, to, expected) => {
  const { base = {}, additions = [] } = requests[from] ?? {};
  const sound = additions.find(({ name }) => name.endsWith('sound'));
  const { text, losses } = send(from, to, sound?.add(base) ?? {});
  expect(text).toContain(expected);
  expect(losses).toEqual([]);
});

test.each(upstreams.map(({ name }) => [name] as const))(
  '[AI-6] a prompt that is the system alone is asked on %s too',
  to => {
    const messages = [{ role: 'system', content: 'Say hello.' }];
    const { text, losses } = send('openai-chat', to, { model: 'm', messages });
    expect(text).toContain('Say hello.');
    const wantsUser = ['anthropic-messages', 'gemini', 'bedrock-converse'].includes(to);
    expect(losses).toEqual(wantsUser ? ['messages.system=changed'] : []);
    if (wantsUser) expect(text).toMatch(/"role":"user"/);
  },
);

const ofAnotherType: Readonly<Record<string, { said: JsonObject; told: readonly string[] }>> = {
  'openai-chat': {
    said: { temperature: 'hot', max_tokens: '10', stream: 'true', user: 7, seed: { toString: null } },
    told: ['max_tokens', 'seed', 'stream', 'temperature', 'user'],
  },
  'openai-responses': {
    said: { temperature: 'hot', max_output_tokens: [1], instructions: 7 },
    told: ['instructions', 'max_output_tokens', 'temperature'],
  },
  'anthropic-messages': {
    said: { temperature: 'hot', top_k: '4', service_tier: 1 },
    told: ['service_tier', 'temperature', 'top_k'],
  },
  gemini: {
    said: { generationConfig: { temperature: 'hot', maxOutputTokens: '10', seed: null } },
    told: ['generationConfig.maxOutputTokens', 'generationConfig.temperature'],
  },
  'bedrock-converse': {
    said: { inferenceConfig: { temperature: 'hot', maxTokens: '10', topP: null } },
    told: ['inferenceConfig.maxTokens', 'inferenceConfig.temperature'],
  },
};

test.each(Object.entries(ofAnotherType))(
  '[AI-6] %s: what has not the type that it has to have is named too',
  (from, { said, told }) => {
    const { base } = requests[from] ?? expect.fail();
    for (const { name: to } of upstreams.filter(({ name }) => name !== from)) {
      const { losses } = send(from, to, { ...base, ...said });
      expect(losses.toSorted(), to).toEqual(told.map(each => `${each}=dropped`));
    }
  },
);

test.each(upstreams.map(({ name }) => [name] as const))(
  '[AI-6] a tool that must be called and is none is named, to %s too',
  to => {
    const { base } = requests['openai-chat'] ?? expect.fail();
    const { tools: _tools, ...bare } = base;
    for (const choice of ['required', { type: 'function', function: { name: 'x' } }])
      expect(send('openai-chat', to, { ...bare, tool_choice: choice }).losses).toContain(
        'tool_choice=dropped',
      );
    expect(send('openai-chat', to, { ...bare, tool_choice: 'none' }).losses).toEqual([]);
  },
);

const inWrongContainers: Readonly<Record<string, readonly (readonly [said: JsonObject, told: string])[]>> = {
  'openai-chat': [
    [{ tools: { type: 'function', function: { name: 'x' } } }, 'tools'],
    [{ tools: 'all' }, 'tools'],
    [{ tools: ['get_weather'] }, 'tools'],
    [{ tool_choice: 5 }, 'tool_choice'],
    [{ response_format: 'json_object' }, 'response_format'],
    [{ stop: 5 }, 'stop'],
    [{ stop: ['a', 5] }, 'stop'],
    [{ metadata: 'x' }, 'metadata'],
    [{ messages: [{ role: 'user', content: 'Hi.' }, 'there'] }, 'messages'],
    [{ messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi.' }, 'there'] }] }, 'messages.content'],
    [
      {
        messages: [
          { role: 'user', content: 'Hi.' },
          { role: 'user', content: 5 },
        ],
      },
      'messages.content',
    ],
    [
      {
        messages: [
          { role: 'user', content: 'Hi.' },
          { role: 'user', content: { text: 'there' } },
        ],
      },
      'messages.content',
    ],
  ],
  'openai-responses': [
    [{ tools: { type: 'function', name: 'x' } }, 'tools'],
    [{ text: 'json' }, 'text'],
    [{ reasoning: 'high' }, 'reasoning'],
    [{ metadata: ['x'] }, 'metadata'],
    [{ input: [{ role: 'user', content: 'Hi.' }, 'there'] }, 'input'],
    [
      {
        input: [
          { role: 'user', content: 'Hi.' },
          { role: 'user', content: 7 },
        ],
      },
      'input.content',
    ],
  ],
  'anthropic-messages': [
    [{ tools: { name: 'x', input_schema: {} } }, 'tools'],
    [{ tool_choice: 'auto' }, 'tool_choice'],
    [{ thinking: true }, 'thinking'],
    [{ system: 7 }, 'system'],
    [{ stop_sequences: 'END' }, 'stop_sequences'],
    [{ metadata: 'x' }, 'metadata'],
    [
      {
        messages: [
          { role: 'user', content: 'Hi.' },
          { role: 'user', content: { text: 'there' } },
        ],
      },
      'messages.content',
    ],
  ],
  gemini: [
    [{ tools: 'all' }, 'tools'],
    [{ toolConfig: 'any' }, 'toolConfig'],
    [{ generationConfig: 'hot' }, 'generationConfig'],
    [{ generationConfig: { stopSequences: 'END' } }, 'generationConfig.stopSequences'],
    [{ systemInstruction: 7 }, 'systemInstruction'],
    [{ contents: [{ parts: [{ text: 'Hi.' }, 'there'] }] }, 'contents.parts'],
  ],
  'bedrock-converse': [
    [{ inferenceConfig: 'hot' }, 'inferenceConfig'],
    [{ toolConfig: { tools: { toolSpec: { name: 'x' } } } }, 'toolConfig.tools'],
    [{ system: 'Be brief.' }, 'system'],
    [{ system: { text: 'Be brief.' } }, 'system'],
    [{ additionalModelRequestFields: 'x' }, 'additionalModelRequestFields'],
    [{ serviceTier: 'flex' }, 'serviceTier'],
    [
      {
        messages: [
          { role: 'user', content: [{ text: 'Hi.' }] },
          { role: 'user', content: 'there' },
        ],
      },
      'messages.content',
    ],
  ],
};

test.each(
  Object.entries(inWrongContainers).flatMap(([from, cases]) =>
    cases.map(([said, told]) => [from, said, told] as const),
  ),
)('[AI-6] %s: %j is no list or object of what it has to be, and is named', (from, said, told) => {
  const { base } = requests[from] ?? expect.fail();
  for (const { name: to } of upstreams.filter(({ name }) => name !== from)) {
    const { losses } = send(from, to, { ...base, ...said });
    expect(losses, to).toContain(`${told}=dropped`);
  }
});

test.each(upstreams.map(({ name }) => [name] as const))(
  '[AI-6] one object where Gemini has a list is read as a list of it, to %s too',
  to => {
    const declared = { name: 'get_hours', parameters: { type: 'OBJECT', properties: {} } };
    const { text, losses } = send('gemini', to, {
      contents: { parts: { text: 'Good morning' } },
      systemInstruction: { parts: { text: 'Be brief.' } },
      tools: { functionDeclarations: declared },
    });
    for (const said of ['Good morning', 'Be brief.', 'get_hours']) expect(text).toContain(said);
    expect(losses).toEqual([]);
    const bare = send('gemini', to, {
      contents: { parts: { text: 'Hi.' } },
      systemInstruction: [{ text: 'Be brief.' }],
    });
    expect([bare.text.includes('Be brief.'), bare.losses]).toEqual([true, []]);
  },
);
