import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineSplitter } from './line-splitter.ts';

test('[F55] lines come out whole, however the bytes are cut', () => {
  const line = fc.string({ unit: 'binary', maxLength: 30 }).filter(text => !/[\r\n]/.test(text));
  fc.assert(
    fc.property(
      fc.array(line),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (lines, sizes) => {
        const bytes = Buffer.from(lines.map(text => `${text}\n`).join(''));
        const splitter = createLineSplitter(1000);
        const out: string[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          const pushed = splitter.push(bytes.subarray(at, at + size));
          if (pushed === 'too-long') throw new Error('no line is too long');
          out.push(...pushed.map(each => each.toString()));
          at += size;
        }
        expect(out).toEqual(lines.map(text => Buffer.from(text).toString()));
      },
    ),
  );
});

test('[M21] a line without end stops at the limit, also when it comes in pieces', () => {
  const splitter = createLineSplitter(10);
  expect(splitter.push(Buffer.from('12345'))).toEqual([]);
  expect(splitter.push(Buffer.from('678901'))).toBe('too-long');
  expect(createLineSplitter(3).push(Buffer.from('1234\n'))).toBe('too-long');
});

test('a carriage return before the line feed is not part of the line', () => {
  expect(createLineSplitter(10).push(Buffer.from('a\r\nb\n'))).toEqual([Buffer.from('a'), Buffer.from('b')]);
});
