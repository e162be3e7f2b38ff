import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allScopes, intersectScopes, matchesScope, noScopes, readScopes } from './scopes.ts';

test('globs match whole names; an empty list matches nothing', () => {
  expect(matchesScope(['gpt-*'], 'gpt-5-mini')).toBe(true);
  expect(matchesScope(['gpt-*'], 'my-gpt-5')).toBe(false);
  expect(matchesScope(['*__read_*'], 'files__read_text')).toBe(true);
  expect(matchesScope(['a.c'], 'abc')).toBe(false);
  expect(matchesScope([], 'anything')).toBe(false);
  expect(matchesScope(['*'], '')).toBe(true);
});

test('a glob behind ! forbids, wherever it stands, and allows nothing by itself', () => {
  for (const patterns of [
    ['*', '!files__delete*'],
    ['!files__delete*', '*'],
  ]) {
    expect(matchesScope(patterns, 'files__read')).toBe(true);
    expect(matchesScope(patterns, 'files__delete_all')).toBe(false);
  }
  expect(matchesScope(['!files__*'], 'web__get')).toBe(false);
});

test('scopes written before there were servers and agents mean what they meant', () => {
  const written = { models: ['m'], tools: ['t'], workflows: ['w/*'] };
  expect(readScopes(written)).toEqual({ ...written, servers: ['*'], agents: ['w/*'] });
  expect(readScopes(allScopes)).toEqual(allScopes);
});

test('a hostile glob of many stars costs milliseconds', () => {
  const started = performance.now();
  expect(matchesScope([`${'*a'.repeat(200)}b`], 'a'.repeat(20_000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(500);
});

test('[W7] an intersection never allows what either side refuses', () => {
  const pattern = fc.stringMatching(/^!?[ab*]{0,4}$/);
  const patterns = fc.array(pattern, { maxLength: 4 });
  const name = fc.stringMatching(/^[ab*!]{0,5}$/);
  fc.assert(
    fc.property(patterns, patterns, name, (left, right, tool) => {
      const both = intersectScopes({ ...noScopes, tools: left }, { ...noScopes, tools: right });
      if (matchesScope(both.tools, tool)) {
        expect(matchesScope(left, tool)).toBe(true);
        expect(matchesScope(right, tool)).toBe(true);
      }
    }),
    { numRuns: 20_000 },
  );
});
