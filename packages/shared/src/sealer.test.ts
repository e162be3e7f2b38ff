import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSealer } from './sealer.ts';
import { Secret } from './secret.ts';

const sealer = createSealer(new Secret('one pepper of tests, longer than 32 characters'));

test('what is sealed opens for its purpose only, and not when a character is changed', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), (text, purpose, at) => {
      const sealed = sealer.seal(purpose, text.toWellFormed());
      expect(sealer.open(purpose, sealed)).toBe(text.toWellFormed());
      expect(sealer.open(`${purpose}x`, sealed)).toBeUndefined();
      const index = at % sealed.length;
      const other = sealed[index] === 'A' ? 'B' : 'A';
      expect(
        sealer.open(purpose, `${sealed.slice(0, index)}${other}${sealed.slice(index + 1)}`),
      ).toBeUndefined();
    }),
  );
});

test('nothing else opens', () => {
  const others = createSealer(new Secret('another pepper of tests, longer than 32 characters'));
  for (const text of ['', 'x', '!!', 'A'.repeat(60), others.seal('p', 'text')])
    expect(sealer.open('p', text)).toBeUndefined();
});
