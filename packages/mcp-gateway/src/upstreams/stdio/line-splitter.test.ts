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
          out.push(...pushed.map(each => (Buffer.isBuffer(each) ? each.toString() : 'cut')));
          at += size;
        }
        expect(out).toEqual(lines.map(text => Buffer.from(text).toString()));
      },
    ),
  );
});

test('[M21] of a line past the limit its two ends are kept, however it comes, and the next one is whole', () => {
  const long = `${'a'.repeat(300)}${'b'.repeat(5000)}${'c'.repeat(300)}`;
  const bytes = Buffer.from(`${long}\nnext\n`);
  for (const size of [1, 7, 256, 1000, bytes.length]) {
    const splitter = createLineSplitter(1000);
    const out = [];
    for (let at = 0; at < bytes.length; at += size) out.push(...splitter.push(bytes.subarray(at, at + size)));
    const [head, tail] = [Buffer.from('a'.repeat(256)), Buffer.from('c'.repeat(256))];
    expect(out).toEqual([{ head, tail, bytes: long.length }, Buffer.from('next')]);
  }
});

test('[M21] how long a line without end is by now can be told', () => {
  const splitter = createLineSplitter(10);
  for (let turn = 1; turn <= 1000; turn++) {
    expect(splitter.push(Buffer.alloc(1000, 0x61))).toEqual([]);
    expect(splitter.openBytes).toBe(turn * 1000);
  }
});

test('a carriage return before the line feed is not part of the line', () => {
  expect(createLineSplitter(10).push(Buffer.from('a\r\nb\n'))).toEqual([Buffer.from('a'), Buffer.from('b')]);
});
