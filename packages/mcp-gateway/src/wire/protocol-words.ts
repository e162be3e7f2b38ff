/** Keys and values of the protocol that stand in nearly every message. */
const words = [
  'jsonrpc',
  '2.0',
  'id',
  'method',
  'params',
  'result',
  'error',
  'name',
  'arguments',
  '_meta',
  'progressToken',
  'traceparent',
  'uri',
  'cursor',
  'content',
  'structuredContent',
  'isError',
  'resultType',
  'code',
  'message',
  'data',
  'tools/call',
  'tools/list',
  'prompts/get',
  'resources/read',
];

const maxLength = 32;
const byShape = new Map(
  words.map(word => [shapeOf(word.length, word.charCodeAt(0), word.charCodeAt(word.length - 1)), word]),
);

/**
 * The word of the protocol that these bytes are; undefined when they are none. Most of a message's keys are, and to make a text of each costs more
 * than to compare it. It is also one text each time, by which things are found sooner.
 */
export function protocolWord(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length < 1 || length > maxLength) return undefined;
  const word = byShape.get(shapeOf(length, bytes[start] ?? 0, bytes[end - 1] ?? 0));
  if (word === undefined) return undefined;
  for (let index = 0; index < length; index++) {
    if (bytes[start + index] !== word.charCodeAt(index)) return undefined;
  }
  return word;
}

/** Different for different words of the list; a test holds that. */
function shapeOf(length: number, first: number, last: number): number {
  return (length << 16) | (first << 8) | last;
}

/** All of them. No two are the same but for their case. */
export const protocolWords: readonly string[] = words;
