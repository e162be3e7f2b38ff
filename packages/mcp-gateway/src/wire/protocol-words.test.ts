import fc from 'fast-check';
import { expect, test } from 'vitest';
import { protocolWord, protocolWords } from './protocol-words.ts';

const find = (text: string) => {
  const bytes = Buffer.from(`"${text}"`);
  return protocolWord(bytes, 1, bytes.length - 1);
};

test('every word is found by itself: no two have one shape', () => {
  expect(protocolWords.map(find)).toEqual(protocolWords);
  expect(new Set(protocolWords.map(word => word.toLowerCase())).size).toBe(protocolWords.length);
});

test('any other text is none, however much like one it looks', () => {
  const changed = fc
    .tuple(fc.constantFrom(...protocolWords), fc.nat(), fc.string({ unit: 'binary', maxLength: 3 }))
    .map(([word, at, put]) => {
      const index = at % (word.length + 1);
      return word.slice(0, index) + put + word.slice(index + 1);
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.string({ unit: 'binary' })), text => {
      const bytes = Buffer.from(text);
      const word = protocolWords.find(each => Buffer.from(each).equals(bytes));
      expect(protocolWord(bytes, 0, bytes.length)).toBe(word);
    }),
  );
});
