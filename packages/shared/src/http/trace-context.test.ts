import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTraceparent, newTraceContext, parseTraceparent, traceContextOf } from './trace-context.ts';

const valid = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('a valid header goes through unchanged', () => {
  const context = parseTraceparent(valid);
  expect(context && formatTraceparent(context)).toBe(valid);
});

test.each([
  undefined,
  '',
  valid.toUpperCase(),
  valid.replace('00-', 'ff-'),
  `${valid}-extra`,
  `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
  `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
])('%s is ignored and a new trace begins', header => {
  expect(parseTraceparent(header)).toBeUndefined();
  expect(traceContextOf(header).traceId).toMatch(/^[0-9a-f]{32}$/);
});

test('a later version with more fields is read as far as it is known', () => {
  expect(parseTraceparent(`${valid.replace('00-', '01-')}-what-comes-next`)?.traceId).toBe(
    '4bf92f3577b34da6a3ce929d0e0e4736',
  );
});

test('whatever arrives, a valid header leaves', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      expect(parseTraceparent(formatTraceparent(traceContextOf(text)))).toBeDefined();
    }),
  );
  expect(newTraceContext().traceId).not.toBe(newTraceContext().traceId);
});
