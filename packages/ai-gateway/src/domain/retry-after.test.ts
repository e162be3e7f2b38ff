import { expect, test } from 'vitest';
import { readRetryAfter } from './retry-after.ts';

const nowMs = Date.parse('2026-11-24T12:00:00Z');
const read = (headers: Record<string, string>) => readRetryAfter(headers, { nowMs, capMs: 60_000 });

test.each([
  [{ 'retry-after': '1' }, 1000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': '3600' }, 60_000],
  [{ 'retry-after': 'Tue, 24 Nov 2026 12:00:30 GMT' }, 30_000],
  [{ 'retry-after': 'Tue, 24 Nov 2026 11:00:00 GMT' }, undefined],
  [{ 'retry-after': '-5' }, undefined],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '1e9' }, undefined],
  [{ 'retry-after': '99999999999999999' }, undefined],
  [{ 'retry-after-ms': '250', 'retry-after': '1' }, 250],
  [{}, undefined],
])('[F35] %j asks for %s ms', (headers, expected) => {
  expect(read(headers as Record<string, string>)).toBe(expected);
});
