/** What is to be seen of a stream, whatever protocol it is read in. */
export interface Sight {
  /** Texts and refusals. */
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  readonly finish: 'stop' | 'length' | 'tool-calls' | 'refused';
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface OddStream {
  readonly upstream: string;
  readonly name: string;
  readonly bytes: Buffer;
  readonly sight: Sight;
}

export type Json = Readonly<Record<string, unknown>>;

const usage = { inputTokens: 10, outputTokens: 4 };
const sight = (more: Partial<Sight>): Sight => ({
  text: 'Hello.',
  calls: [],
  finish: 'stop',
  ...usage,
  ...more,
});
export const rome = { name: 'get_weather', arguments: '{"city":"Rome"}' };
export const oslo = { name: 'get_weather', arguments: '{"city":"Oslo"}' };

export const data = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
export const named = (value: { type: string; [member: string]: unknown }) =>
  `event: ${value.type}\n${data(value)}`;

export function odd(
  upstream: string,
  name: string,
  parts: readonly (string | Buffer)[],
  seen: Partial<Sight>,
): OddStream {
  return { upstream, name, bytes: Buffer.concat(parts.map(part => Buffer.from(part))), sight: sight(seen) };
}
