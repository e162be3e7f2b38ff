import { expect, test } from 'vitest';
import { parseMoment } from './moment.ts';

test.each([
  ['2026-11-01', '2026-11-01T00:00:00.000Z'],
  ['2024-02-29', '2024-02-29T00:00:00.000Z'],
  ['2026-11-01T12:00:00Z', '2026-11-01T12:00:00.000Z'],
  ['2026-11-01T12:00:00.5+05:45', '2026-11-01T06:15:00.500Z'],
])('%s is %s', (text, expected) => {
  expect(new Date(parseMoment(text)).toISOString()).toBe(expected);
});

test.each([
  '2026-02-29',
  '2026-02-31T00:00:00Z',
  '2026-11-01T12:00', // where?
  '2026-11-01T25:00:00Z',
  '1 November 2026',
  '',
])('%j is no moment', text => {
  expect(() => parseMoment(text)).toThrow('Expected a date');
});
