import { expect, test } from 'vitest';
import { idTimeMs, newId, randomText } from './ids.ts';

test('ids carry their prefix, have a fixed length and sort by time', () => {
  const earlier = newId('run', 1_700_000_000_000);
  const later = newId('run', 1_700_000_000_001);
  expect(earlier).toMatch(/^run_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(earlier < later).toBe(true);
});

test('an id says when it was made', () => {
  for (const ms of [0, 1, 1_700_000_000_001, 2 ** 48 - 1]) expect(idTimeMs(newId('run', ms))).toBe(ms);
  for (const id of ['', 'run_', 'run_01', 'run_01hf7yat0!aaaa']) expect(idTimeMs(id)).toBeNaN();
});

test('random text does not repeat', () => {
  expect(new Set(Array.from({ length: 10_000 }, () => randomText(26))).size).toBe(10_000);
});
