import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatSse, formatSseComment, type SseEvent, SseReader, type SseReaderOptions } from './sse.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

function readAll(pieces: readonly Uint8Array[], options?: SseReaderOptions) {
  const reader = new SseReader(options);
  const events = pieces.flatMap(piece => reader.push(piece));
  events.push(...reader.end());
  return { events, reader };
}

const read = (text: string, options?: SseReaderOptions) => readAll([bytes(text)], options).events;
const event = (data: string, rest: Partial<SseEvent> = {}): SseEvent => ({
  event: undefined,
  id: undefined,
  data,
  ...rest,
});

/** The algorithm of WHATWG HTML 9.2.6 on the whole text, written down as it stands there. */
function reference(input: Uint8Array) {
  const lines = new TextDecoder('utf-8').decode(input).split(/\r\n|\n|\r/);
  lines.pop(); // not ended by a line end
  const events: SseEvent[] = [];
  let lastEventId = '';
  let data = '';
  let name = '';
  let id: string | undefined;
  let retryMs: number | undefined;
  for (const line of lines) {
    if (line === '') {
      if (id !== undefined) lastEventId = id;
      if (data !== '') {
        const retry = retryMs === undefined ? {} : { retryMs };
        events.push({ event: name || undefined, data: data.slice(0, -1), id, ...retry });
      }
      data = '';
      name = '';
      id = undefined;
      retryMs = undefined;
      continue;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') name = value;
    if (field === 'data') data += `${value}\n`;
    if (field === 'id' && !value.includes('\0')) id = value;
    if (field === 'retry' && /^[0-9]+$/.test(value)) retryMs = Number(value);
  }
  return { events, lastEventId };
}

const corpus: Record<string, Uint8Array> = {
  'LF, CR and CR LF': bytes(
    'data: a\n\ndata: b\r\rdata: c\r\n\r\ndata: d\n\r\ndata: e\r\n\rdata: f\r\r\n\ndata: g\n\n',
  ),
  'multi-line data and a comment': bytes(
    ': hello\r\ndata: one\r\n:\r\ndata:two\ndata\ndata:  three\r\n\r\ndata\n\n',
  ),
  'a byte order mark': bytes('\uFEFFdata: \uFEFF1\n\n\uFEFFdata: 2\n\ndata: 3\n\n'),
  'a byte order mark before a blank line': bytes('\uFEFF\r\ndata: 1\n\n'),
  'every field': bytes(
    'event: delta\nid: 7\nretry: 1500\ndata: {"a":1}\n\nid\nevent\ndata\n\nid: 9\nretry: 10\n\n',
  ),
  'fields that do not count': bytes(
    'id: a\0b\nretry: 1x\nretry: -1\nretry:\nDATA: x\ndatax: y\ndat: z\n data: w\ndata: v\n\n',
  ),
  'text beyond ASCII': bytes('data: żółw 🐢 日本語 \u2028 \u0085\nevent: größe\n\ndata: 𝄞\r\r'),
  'broken UTF-8': Uint8Array.from([
    ...bytes('data: '),
    0xe2,
    0x82,
    0x0a,
    0x0a,
    ...bytes('data:'),
    0xff,
    0xc0,
    0x0d,
    0x0d,
  ]),
  'an unfinished event': bytes('data: done\n\ndata: cut'),
  'a missing blank line': bytes('data: done\n\ndata: [DONE]\n'),
};

describe('[F28][F29] every way to cut the bytes gives the same events', () => {
  test.each(Object.entries(corpus))('%s', (_name, input) => {
    const expected = reference(input);
    expect(expected.events.length).toBeGreaterThan(0);
    for (let first = 0; first <= input.length; first++) {
      for (let second = first; second <= input.length; second++) {
        const { events, reader } = readAll([
          input.subarray(0, first),
          input.subarray(first, second),
          input.subarray(second),
        ]);
        expect(events).toEqual(expected.events);
        expect(reader.lastEventId).toBe(expected.lastEventId);
      }
    }
    expect(readAll([...input].map(byte => Uint8Array.of(byte))).events).toEqual(expected.events);
  });
});

test('[F29][I12][T9] any bytes, cut anywhere, read as the reference reads them', () => {
  const tokens = [
    'data',
    'event',
    'id',
    'retry',
    ':',
    ': ',
    ' ',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    '\r\n\r\n',
    '\0',
    '5',
    '\uFEFF',
    'ż',
    '🐢',
    'x',
  ];
  const parts = [...tokens.map(bytes), Uint8Array.of(0xf0), Uint8Array.of(0x9f), Uint8Array.of(0x80)];
  const input = fc.array(fc.nat(parts.length * 2 - 1), { maxLength: 24, size: 'max' });
  const numRuns = Number(process.env.STRATA_FUZZ_RUNS ?? 100_000);
  fc.assert(
    fc.property(input, fc.integer(), (choice, cut) => {
      // The upper half of the numbers draws fields and line ends again: those are what the format is made of.
      const whole = Buffer.concat(
        choice.map(index => parts[index % parts.length] ?? parts[index % 12] ?? parts[0] ?? Buffer.of()),
      );
      const { events, reader } = readAll(cutUp(whole, cut));
      const expected = reference(whole);
      expect(JSON.stringify(events)).toBe(JSON.stringify(expected.events.map(inOrder)));
      if (reader.lastEventId !== expected.lastEventId) throw new Error('last event id differs');
    }),
    { numRuns },
  );
});

/** Pieces of 0 to 7 bytes, chosen by a small generator so that a run costs little. */
function cutUp(input: Uint8Array, seed: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let state = seed | 1;
  for (let start = 0; start < input.length; ) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    const end = start + ((state >>> 24) & 7);
    pieces.push(input.subarray(start, end));
    start = end;
  }
  return pieces;
}

const inOrder = ({ event, data, id, retryMs }: SseEvent) => ({ event, data, id, retryMs });

test('what has no blank line after it is not an event, and is there to be seen', () => {
  const cut = readAll([bytes('data: a\n\nevent: b\ndata: par')]);
  expect(cut.events).toEqual([event('a')]);
  expect(cut.reader.unterminated?.endsWithLine).toBe(false);
  expect(cut.reader.unterminated?.frame.event()).toEqual(event('par', { event: 'b' }));

  const noBlank = readAll([bytes('data: [DONE]\n')]);
  expect(noBlank.events).toEqual([]);
  expect(noBlank.reader.unterminated?.endsWithLine).toBe(true);

  const clean = readAll([bytes('data: a\r\n\r'), bytes('\n')]);
  expect(clean.reader.unterminated).toBeUndefined();
});

test('a missing last blank line is accepted only when asked for, a cut line never', () => {
  expect(read('data: [DONE]\n', { acceptMissingBlankLine: true })).toEqual([event('[DONE]')]);
  expect(read('data: [DO', { acceptMissingBlankLine: true })).toEqual([]);
});

test('an event is out with the CR of its blank line, without a byte more', () => {
  const reader = new SseReader();
  expect(reader.push(bytes('data: a\r\n\r'))).toEqual([event('a')]);
  expect(reader.push(bytes('\ndata: b\r\r'))).toEqual([event('b')]);
});

test('id and retry count without data', () => {
  const { events, reader } = readAll([bytes('id: 4\nretry: 3000\n\ndata: x\n\n')]);
  expect(events).toEqual([event('x')]);
  expect(reader.lastEventId).toBe('4');
  expect(reader.retryMs).toBe(3_000);
  expect(read('retry: 99999999999999999999\ndata: x\n\n')[0]?.retryMs).toBe(Number.MAX_SAFE_INTEGER);
});

test('[A19] any text comes back as one event, whatever it forges', () => {
  const forged = [
    'data: ',
    'event: ',
    'id: ',
    'retry: 1',
    ':',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\uFEFF',
    '\0',
    ' ',
    'a',
    '🐢',
  ];
  const nasty = fc.array(fc.constantFrom(...forged)).map(parts => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(nasty, fc.string({ unit: 'grapheme' })), fc.option(fc.nat()), (data, retryMs) => {
      const text = formatSse({ event: 'delta', data, id: '1', ...(retryMs === null ? {} : { retryMs }) });
      const [only, ...others] = read(`${text}${formatSseComment(data)}`);
      expect(others).toEqual([]);
      expect(only?.data).toBe(data.replace(/\r\n|\r/g, '\n'));
      expect(only).toMatchObject({ event: 'delta', id: '1' });
    }),
    { numRuns: 2_000 },
  );
});

test('a plain event is written as providers write it', () => {
  expect(formatSse({ data: '{"a":1}' })).toBe('data: {"a":1}\n\n');
  expect(formatSse({ event: 'ping', data: '', id: '7', retryMs: 10.4 })).toBe(
    'event: ping\nid: 7\nretry: 10\ndata: \n\n',
  );
  expect(formatSseComment('keep-alive')).toBe(': keep-alive\n\n');
});

test.each(['a\nb', 'a\rb', 'a\0b'])('[A19] a name or id of more than one line is refused: %j', value => {
  expect(() => formatSse({ event: value, data: '' })).toThrow('one line');
  expect(() => formatSse({ id: value, data: '' })).toThrow('one line');
});
