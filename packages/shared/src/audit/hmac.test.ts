import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hmac } from './hmac.ts';

test('is the HMAC of the platform, for every key and text, one after the other', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.string({ unit: 'binary', maxLength: 3000 }), { maxLength: 5 }),
      (bytes, texts) => {
        const key = Buffer.from(bytes);
        const hmac = new Hmac(key);
        for (const text of texts)
          expect(hmac.hex(text)).toBe(createHmac('sha256', key).update(text).digest('hex'));
      },
    ),
  );
});

test('texts around the size that is kept ready, in letters of one and of three bytes', () => {
  const key = randomBytes(32);
  const hmac = new Hmac(key);
  for (const length of [0, 1, 1364, 1365, 1366, 4095, 4096, 4097]) {
    for (const letter of ['a', '\u20ac', '\ud800']) {
      const text = letter.repeat(length);
      expect(hmac.hex(text)).toBe(createHmac('sha256', key).update(text).digest('hex'));
    }
  }
});
