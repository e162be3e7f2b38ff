import fc from 'fast-check';
import { expect, test } from 'vitest';
import { intersectScopes, matchesScope, noScopes } from './scopes.ts';

test('globs match whole names; an empty list matches nothing', () => {
  expect(matchesScope(['gpt-*'], 'gpt-5-mini')).toBe(true);
  expect(matchesScope(['gpt-*'], 'my-gpt-5')).toBe(false);
  expect(matchesScope(['*__read_*'], 'files__read_text')).toBe(true);
  expect(matchesScope(['a.c'], 'abc')).toBe(false);
  expect(matchesScope([], 'anything')).toBe(false);
  expect(matchesScope(['*'], '')).toBe(true);
});

test('a glob after `!` takes names away, wherever it stands', () => {
  const patterns = ['!files__write*', 'files__*', '!*secret*'];
  expect(matchesScope(patterns, 'files__read')).toBe(true);
  expect(matchesScope(patterns, 'files__write_file')).toBe(false);
  expect(matchesScope(patterns, 'files__read_secret')).toBe(false);
  expect(matchesScope(['!files__write*'], 'files__read')).toBe(false);
});

test('a hostile glob of many stars costs milliseconds', () => {
  const started = performance.now();
  expect(matchesScope([`${'*a'.repeat(200)}b`], 'a'.repeat(20_000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(500);
});

test('[W7] an intersection never allows what either side refuses', () => {
  const pattern = fc.stringMatching(/^!?[ab*]{0,4}$/);
  const patterns = fc.array(pattern, { maxLength: 3 });
  const name = fc.stringMatching(/^[ab]{0,5}$/);
  fc.assert(
    fc.property(patterns, patterns, name, (left, right, tool) => {
      const both = intersectScopes({ ...noScopes, tools: left }, { ...noScopes, tools: right });
      if (matchesScope(both.tools, tool)) {
        expect(matchesScope(left, tool)).toBe(true);
        expect(matchesScope(right, tool)).toBe(true);
      }
    }),
    { numRuns: 5000 },
  );
});
