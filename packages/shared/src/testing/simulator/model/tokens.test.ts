import fc from 'fast-check';
import { expect, it } from 'vitest';
import { countTokens, splitTokens, truncateTokens } from './tokens.ts';

it('pieces add up to the text, are as many as were counted, and cut no character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      const pieces = splitTokens(text);
      expect(pieces.join('')).toBe(text);
      expect(pieces).toHaveLength(countTokens(text));
      for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
    }),
  );
});

it('truncates to no more tokens than allowed', () => {
  expect(truncateTokens('12345678', 1)).toBe('1234');
  expect(truncateTokens('1234', 1)).toBe('1234');
});
