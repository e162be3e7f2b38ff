import { expect, test } from 'vitest';
import { type ParkedCall, parkedEffect } from '../src/domain/given-results.ts';
import { givenResults } from '../src/tasks/given-results.ts';

const parked: ParkedCall[] = [
  { path: '/do/0/own', call: 'own', effect: 'without-schema' },
  { path: '/do/1/get', call: 'call', effect: 'http' },
  { path: '/do/2/get', call: 'call', effect: 'http' },
];

test('a result is given for calls of one kind, whichever of them is the first', () => {
  expect(Object.keys(givenResults)).not.toContain('without-schema');
  for (const calls of [parked, parked.toReversed()]) {
    expect(() => parkedEffect(calls, { call: undefined, path: undefined })).toThrow('several kinds');
    expect(parkedEffect(calls, { call: 'call', path: undefined })).toBe('http');
    expect(parkedEffect(calls, { call: undefined, path: '/do/0/own' })).toBe('without-schema');
    expect(parkedEffect(calls, { call: 'own', path: '/do/1/get' })).toBeUndefined();
  }
});
