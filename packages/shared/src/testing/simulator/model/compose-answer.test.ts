import { describe, expect, it } from 'vitest';
import { type Answer, composeAnswer } from './compose-answer.ts';
import type { Conversation, OfferedTool, Turn } from './conversation.ts';
import { createPromptCache } from './prompt-cache.ts';

const text = { type: 'string' };
const tool = (name: string, properties: object, required = Object.keys(properties)): OfferedTool => ({
  name,
  description: '',
  schema: { type: 'object', properties, required },
});

const tools: readonly OfferedTool[] = [
  tool('fs__write_file', { path: text, content: text }),
  tool('fs__get_file_info', { path: text }),
  tool('fs__read_text_file', { path: text }),
  tool('fs__list_directory', { path: text }),
  tool('fs__move_file', { source: text, destination: text }),
  tool('everything__get-sum', { a: { type: 'number' }, b: { type: 'number' } }),
  tool('everything__echo', { message: text }),
  tool('get_weather', { city: text, unit: { type: 'string', enum: ['celsius', 'kelvin'] } }, ['city']),
  tool('list_allowed', {}),
];

const user = (said: string): Turn => ({ role: 'user', text: said, media: 0 });
const result = (said: string): Turn => ({
  role: 'tool',
  results: [{ callId: 'c', text: said, isError: false }],
});

function conversation(more: Partial<Conversation>): Conversation {
  return {
    model: 'm',
    system: '',
    turns: [],
    tools,
    toolChoice: { type: 'auto' },
    isParallel: true,
    maxOutputTokens: undefined,
    stopSequences: [],
    format: { type: 'text' },
    thinks: false,
    canThink: false,
    cache: undefined,
    ...more,
  };
}

const answer = (more: Partial<Conversation>): Answer =>
  composeAnswer(conversation(more), createPromptCache());

const callsOf = ({ blocks }: Answer) =>
  blocks.flatMap(block => (block.type === 'call' ? [[block.name, JSON.parse(block.arguments)]] : []));

const ask = (prompt: string, ...more: Turn[]) => callsOf(answer({ turns: [user(prompt), ...more] }));

describe('the tool that a prompt asks for', () => {
  it.each([
    ['Read the file /data/in.txt please.', 'fs__read_text_file', { path: '/data/in.txt' }],
    ['Please read notes/today.md and tell me what it says', 'fs__read_text_file', { path: 'notes/today.md' }],
    ['List the directory /data', 'fs__list_directory', { path: '/data' }],
    [
      'Write "hello" to the file /data/out.txt',
      'fs__write_file',
      { path: '/data/out.txt', content: 'hello' },
    ],
    ['What is the sum of 17 and 25?', 'everything__get-sum', { a: 17, b: 25 }],
    ['Echo hello world', 'everything__echo', { message: 'hello world' }],
    ['What is the weather in New York?', 'get_weather', { city: 'New York' }],
    ['Move /a/x.txt to /b/y.txt', 'fs__move_file', { source: '/a/x.txt', destination: '/b/y.txt' }],
    ['Use the tool list_allowed', 'list_allowed', {}],
    ['Use get_weather with city: Oslo and unit=kelvin', 'get_weather', { city: 'Oslo', unit: 'kelvin' }],
    ['Use get_weather', 'get_weather', { city: 'text' }],
  ])('%s', (prompt, name, args) => {
    expect(ask(prompt)).toEqual([[name, args]]);
  });

  it.each([
    'Hello',
    'Tell me a joke about files.',
    'What is the weather like?',
    'List the planets of the solar system',
    'Explain how to read people',
    'Explain what is allowed',
    'You are helpful. Say yes.',
  ])('none: %s', prompt => {
    expect(ask(prompt)).toEqual([]);
  });

  it('goes through the steps of a prompt, one for each round of results', () => {
    const prompt =
      'Read the file /data/in.txt, then write a summary of it to the file /data/out.txt, and finally tell me.';
    expect(ask(prompt)).toEqual([['fs__read_text_file', { path: '/data/in.txt' }]]);
    expect(ask(prompt, result('The text'))).toEqual([
      ['fs__write_file', { path: '/data/out.txt', content: 'The text' }],
    ]);
    const last = answer({
      turns: [user(prompt), result('The text'), { role: 'assistant', text: '', calls: [] }, result('ok')],
    });
    expect(last.blocks).toEqual([{ type: 'text', text: 'The tool answered: "ok".' }]);
  });

  it('follows a script, puts results in, and ends with what it says', () => {
    const prompt =
      '[[tool: get_weather {"city":"Rome"}]] [[tool: echo {"message":"<{{result}}>"}]] [[say: Done: {{result}}]]';
    const assistant: Turn = { role: 'assistant', text: '', calls: [] };
    expect(ask(prompt)).toEqual([['get_weather', { city: 'Rome' }]]);
    expect(ask(prompt, result('say "hi"'))).toEqual([['everything__echo', { message: '<say "hi">' }]]);
    const last = answer({ turns: [user(prompt), result('a'), assistant, result('b')] });
    expect(last.blocks).toEqual([{ type: 'text', text: 'Done: b' }]);
  });

  it('makes one call at a time when told', () => {
    const turns = [user('[[tools: get_weather {"city":"A"} ; get_weather {"city":"B"}]]')];
    expect(callsOf(answer({ turns }))).toHaveLength(2);
    expect(callsOf(answer({ turns, isParallel: false }))).toHaveLength(1);
  });

  it('quotes every result of the round', () => {
    const results: Turn = {
      role: 'tool',
      results: [
        { callId: '1', text: 'one', isError: false },
        { callId: '2', text: 'two', isError: true },
      ],
    };
    expect(answer({ turns: [user('Hi'), results] }).blocks).toEqual([
      { type: 'text', text: 'The tools answered: "one" and an error: "two".' },
    ]);
  });
});

describe('an answer', () => {
  it('is the same for the same conversation', () => {
    const turns = [user('What is the weather in Paris?')];
    expect(answer({ turns })).toEqual(answer({ turns }));
  });

  it('leaves out a call that does not fit', () => {
    const cut = answer({ turns: [user('What is the weather in Paris?')], maxOutputTokens: 2 });
    expect(cut).toMatchObject({ blocks: [], finish: 'length' });
  });

  it('spends its tokens on thinking first', () => {
    const cut = answer({
      turns: [user('[[think: 12345678]] [[say: abcd]]')],
      canThink: true,
      maxOutputTokens: 1,
    });
    expect(cut).toMatchObject({ blocks: [{ type: 'thinking', text: '1234' }], finish: 'length' });
    expect(cut.usage).toMatchObject({ outputTokens: 1, thinkingTokens: 1 });
  });

  it('takes directives from the system prompt when the user gives none', () => {
    expect(answer({ system: '[[say: from above]]', turns: [user('Hi')] }).blocks[0]).toMatchObject({
      text: 'from above',
    });
  });

  it('bills the buckets that the prompt names', () => {
    const { usage } = answer({ turns: [user(`${'x'.repeat(400)} [[cached: 60]] [[cache_write: 20]]`)] });
    expect(usage).toMatchObject({ cacheReadTokens: 60, cacheWriteTokens: 20 });
  });

  it('reads from the cache what an earlier prompt began with', () => {
    const cache = createPromptCache();
    const of = (...segments: string[]) =>
      composeAnswer(conversation({ system: segments.join(''), cache: { segments, ttl: '5m' } }), cache).usage;
    const a = 'a'.repeat(4096);
    const b = 'b'.repeat(4096);
    expect(of(a)).toMatchObject({ cacheReadTokens: 0, cacheWriteTokens: 1024 });
    expect(of(a, b)).toMatchObject({ cacheReadTokens: 1024, cacheWriteTokens: 1024 });
    expect(of(a, b)).toMatchObject({ cacheReadTokens: 2048, cacheWriteTokens: 0 });
    expect(of(b, a)).toMatchObject({ cacheReadTokens: 0, cacheWriteTokens: 2048 });
  });
});
