import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadConfig } from './load.ts';
import { ConfigError } from './problem.ts';
import { rootSchema } from './root-schema.ts';

const load = (pepper: string) =>
  loadConfig(
    rootSchema({}),
    { source: 'strata.yaml', text: '' },
    { env: { STRATA_IDENTITY__PEPPER: pepper } },
  );

const weak = [
  ...['a', 'secret', 'password', 'admin', 'strata', '12345678', 'changeme', 'letmein'],
  ...['correct horse battery staple', 'f3a9c1d27b', '7d1cf3a9c1d27b04e6528a9b13c0de'],
  ...['a', '0', 'x', '-', '*'].map(letter => letter.repeat(64)),
  ...['abc', 'changeme', 'f3a9c1d2', 'strata-secret-', '7d1cf3a9c1d27b04'].map(piece => piece.repeat(8)),
  'please-change-me-before-production-7d1c',
  'CHANGE_ME_7d1cf3a9c1d27b04e6528a9b13c0de',
  'your-secret-pepper-goes-here-7d1cf3a9c1',
  'default-f3a9c1d27b04e6528a9b13c0de77',
  'placeholder-f3a9c1d27b04e6528a9b13c0de77',
  'my-very-long-password-that-nobody-guesses',
  'insecure-f3a9c1d27b04e6528a9b13c0de7711aa',
  'abcdefghijklmnopqrstuvwxyzabcdefghijklmno',
  '01234567890123456789012345678901234567890',
];

test.each(weak)('[S6] a pepper such as %j stops the start', pepper => {
  expect(() => load(pepper)).toThrow(ConfigError);
});

test('[S6] random peppers of any alphabet are taken', () => {
  for (let round = 0; round < 300; round++) {
    const bytes = randomBytes(32);
    for (const encoding of ['hex', 'base64', 'base64url'] as const)
      expect(load(bytes.toString(encoding)).identity.pepper?.reveal()).toBe(bytes.toString(encoding));
  }
});
