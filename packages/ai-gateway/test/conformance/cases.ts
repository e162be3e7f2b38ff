/** What every client must get through every upstream (spec/llm-protocols 6.7), in no protocol's words. */

export interface Tool {
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

export interface Case {
  readonly name: string;
  /** The prompt, with the simulator's directives. */
  readonly prompt: string;
  readonly system?: string;
  readonly tools?: readonly Tool[];
  /** The tool that must be called. */
  readonly forcedTool?: string;
  /** PNG in base64, sent beside the prompt. */
  readonly image?: string;
  /** PDF in base64, sent beside the prompt. */
  readonly pdf?: string;
  /** JSON Schema that the answer must fit. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** The answer ends before it. */
  readonly stop?: string;
  readonly thinks?: boolean;
  /** What is seen of the answer, or that an error is thrown, whole as well as streamed. */
  readonly expects: Partial<Seen> | 'an error';
}

/** An answer in no protocol's words, read from an SDK's own objects. */
export interface Seen {
  readonly text: string;
  readonly refusal: string;
  readonly calls: readonly { readonly name: string; readonly arguments: unknown }[];
  readonly finish: 'stop' | 'length' | 'tool-calls' | 'refused';
  readonly inputTokens: number;
  /** Of the input, those read from the provider's cache. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const weather: Tool = { name: 'get_weather', schema: city };
const time: Tool = { name: 'get_time', schema: { type: 'object', properties: {} } };

const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const page = Buffer.from('%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n').toString('base64');

const says = (text: string): Partial<Seen> => ({ text, refusal: '', calls: [], finish: 'stop' });
const weatherIn = (name: string) => ({ name: 'get_weather', arguments: { city: name } });
const callsOf = (...calls: Seen['calls']): Partial<Seen> => ({
  text: '',
  refusal: '',
  calls,
  finish: 'tool-calls',
});

export const cases: readonly Case[] = [
  {
    name: 'text',
    prompt: '[[say: Grüße, 世界 🌍! "quotes" and\nlines.]]',
    expects: says('Grüße, 世界 🌍! "quotes" and\nlines.'),
  },
  {
    name: 'a system prompt',
    prompt: 'Hello.',
    system: '[[say: As I was told.]]',
    expects: says('As I was told.'),
  },
  {
    name: 'one tool',
    prompt: '[[tool: get_weather {"city":"Rome"}]]',
    tools: [weather],
    expects: callsOf(weatherIn('Rome')),
  },
  {
    name: 'three parallel tools',
    prompt:
      '[[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo \\"x\\""} ; get_weather {"city":"東京"}]]',
    tools: [weather, time],
    expects: callsOf(weatherIn('Rome'), weatherIn('Oslo "x"'), weatherIn('東京')),
  },
  {
    name: 'a tool without arguments',
    prompt: '[[tool: get_time {}]]',
    tools: [weather, time],
    expects: callsOf({ name: 'get_time', arguments: {} }),
  },
  {
    name: 'a text and a tool',
    prompt: '[[say: Let me see.]] [[tool: get_weather {"city":"Rome"}]]',
    tools: [weather],
    expects: { ...callsOf(weatherIn('Rome')), text: 'Let me see.' },
  },
  {
    name: 'a tool that must be called',
    prompt: 'Hello.',
    tools: [weather, time],
    forcedTool: 'get_time',
    expects: callsOf({ name: 'get_time', arguments: {} }),
  },
  {
    name: 'reasoning and a tool',
    prompt: '[[think: Which city?]][[tool: get_weather {"city":"Rome"}]]',
    tools: [weather],
    thinks: true,
    expects: callsOf(weatherIn('Rome')),
  },
  {
    name: 'refusal',
    prompt: '[[refuse: I would rather not.]]',
    expects: { text: '', refusal: 'I would rather not.', calls: [], finish: 'refused' },
  },
  {
    name: 'length',
    prompt: '[[stop: length]][[say: This was cut]]',
    expects: { ...says('This was cut'), finish: 'length' },
  },
  {
    name: 'a stop sequence',
    prompt: '[[say: Before it. END After it.]]',
    stop: ' END',
    expects: says('Before it.'),
  },
  { name: 'image in', prompt: '[[say: I see it.]]', image: pixel, expects: says('I see it.') },
  { name: 'PDF in', prompt: '[[say: I read it.]]', pdf: page, expects: says('I read it.') },
  {
    name: 'json schema',
    // Some clients ask for it by a tool of theirs, called `json`.
    prompt: '[[json: {"city":"Rome"}]][[tool: json {"city":"Rome"}]]',
    schema: { ...city, additionalProperties: false },
    expects: says('{"city":"Rome"}'),
  },
  {
    name: 'cached input',
    prompt: '[[cached: 6]][[say: I knew some of it.]]',
    expects: { ...says('I knew some of it.'), cachedTokens: 6 },
  },
  { name: 'error status', prompt: '[[fault: status=503]]', expects: 'an error' },
  {
    name: 'error before the first token',
    prompt: '[[say: This never comes.]][[fault: error-event-after=0]]',
    expects: 'an error',
  },
  {
    name: 'error after some tokens',
    prompt: '[[words: 20]][[fault: error-event-after=9]]',
    expects: 'an error',
  },
  {
    name: 'end without the terminal event',
    prompt: '[[words: 20]][[fault: end-after-events=9]]',
    expects: 'an error',
  },
];
