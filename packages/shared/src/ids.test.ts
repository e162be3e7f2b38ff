import { expect, test } from 'vitest';
import { newId, randomText } from './ids.ts';

test('ids carry their prefix, have a fixed length and sort by time', () => {
  const earlier = newId('run', 1_700_000_000_000);
  const later = newId('run', 1_700_000_000_001);
  expect(earlier).toMatch(/^run_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(earlier < later).toBe(true);
});

test('random text does not repeat', () => {
  expect(new Set(Array.from({ length: 10_000 }, () => randomText(26))).size).toBe(10_000);
});
