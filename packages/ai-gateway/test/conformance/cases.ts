/** What every client must get through every upstream (spec/llm-protocols 6.7), in no protocol's words. */

export interface Tool {
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

export interface Case {
  readonly name: string;
  /** The prompt, with the simulator's directives. */
  readonly prompt: string;
  readonly tools?: readonly Tool[];
  /** PNG in base64, sent beside the prompt. */
  readonly image?: string;
  /** JSON Schema that the answer must fit. */
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly thinks?: boolean;
}

/** An answer in no protocol's words, read from an SDK's own objects. */
export interface Seen {
  readonly text: string;
  readonly refusal: string;
  readonly calls: readonly { readonly name: string; readonly arguments: unknown }[];
  readonly finish: 'stop' | 'length' | 'tool-calls' | 'refused';
  readonly inputTokens: number;
  readonly outputTokens: number;
}

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const weather: Tool = { name: 'get_weather', schema: city };
const time: Tool = { name: 'get_time', schema: { type: 'object', properties: {} } };

const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

export const cases: readonly Case[] = [
  { name: 'text', prompt: '[[say: Grüße, 世界 🌍! "quotes" and\nlines.]]' },
  { name: 'one tool', prompt: '[[tool: get_weather {"city":"Rome"}]]', tools: [weather] },
  {
    name: 'three parallel tools',
    prompt:
      '[[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo \\"x\\""} ; get_weather {"city":"東京"}]]',
    tools: [weather, time],
  },
  { name: 'a tool without arguments', prompt: '[[tool: get_time {}]]', tools: [weather, time] },
  {
    name: 'reasoning and a tool',
    prompt: '[[think: Which city?]][[tool: get_weather {"city":"Rome"}]]',
    tools: [weather],
    thinks: true,
  },
  { name: 'refusal', prompt: '[[refuse: I would rather not.]]' },
  { name: 'length', prompt: '[[stop: length]][[say: This was cut]]' },
  { name: 'image in', prompt: '[[say: I see it.]]', image: pixel },
  {
    name: 'json schema',
    prompt: '[[json: {"city":"Rome"}]]',
    schema: { ...city, additionalProperties: false },
  },
];
