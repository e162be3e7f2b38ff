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

test('traces that begin here are in the order of their beginning, and random behind it', () => {
  const [first, same, later] = [newTraceContext(1), newTraceContext(1), newTraceContext(0xffff_ffff_ffff)];
  expect(first.traceId).toMatch(/^000000000001[0-9a-f]{20}$/);
  expect(later.traceId).toMatch(/^f{12}[0-9a-f]{20}$/);
  expect(same.traceId.slice(12)).not.toBe(first.traceId.slice(12));
  expect(same.spanId).not.toBe(first.spanId);
});
