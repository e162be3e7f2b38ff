import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../errors/gateway-error.ts';
import { type SseLimits, SseScanner } from './sse-scanner.ts';

const stream =
  '\uFEFF: hi\r\n\r\nevent: a\ndata: 1\n\ndata: x\r\rdata: y\ndata: ż\n\n\n\r\n: end\n\ndata: cut';

function scan(pieces: readonly Uint8Array[], limits?: SseLimits) {
  const scanner = new SseScanner(limits);
  const frames = pieces.flatMap(piece => scanner.push(piece));
  return { frames, rest: scanner.end() };
}

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return `${error.kind}/${error.reason}`;
    throw error;
  }
  return 'accepted';
}

test('[F28][I11] the frames and the rest are the stream, byte for byte, however it is cut', () => {
  const whole = Buffer.from(stream);
  for (let first = 0; first <= whole.length; first++) {
    for (let second = first; second <= whole.length; second++) {
      const { frames, rest } = scan([
        whole.subarray(0, first),
        whole.subarray(first, second),
        whole.subarray(second),
      ]);
      const out = Buffer.concat([...frames.map(frame => frame.bytes), rest?.frame.bytes ?? Buffer.alloc(0)]);
      expect(out.equals(whole)).toBe(true);
      const data = frames.map(frame => frame.dataBytes()?.toString()).filter(text => text !== undefined);
      expect(data).toEqual(['1', 'x', 'y\nż']);
    }
  }
});

test('[I11] random bytes pass unchanged', () => {
  const byte = fc.constantFrom(0x0a, 0x0d, 0x3a, 0x20, 0x64, 0xef, 0xbb, 0xbf, 0);
  const pieces = fc.array(fc.array(byte, { maxLength: 8 }), { maxLength: 8 });
  fc.assert(
    fc.property(pieces, lists => {
      const chunks = lists.map(list => Uint8Array.from(list));
      const { frames, rest } = scan(chunks);
      const out = Buffer.concat([...frames.map(frame => frame.bytes), rest?.frame.bytes ?? Buffer.alloc(0)]);
      expect(out.equals(Buffer.concat(chunks))).toBe(true);
    }),
    { numRuns: 5_000 },
  );
});

test('a frame inside one chunk is a view of it, a frame across chunks a copy', () => {
  const scanner = new SseScanner();
  const chunk = Buffer.from('data: 1\n\ndata: 2\n\ndata: 3');
  const [one, two] = scanner.push(chunk);
  expect(one?.bytes.buffer).toBe(chunk.buffer);
  expect(two?.bytes.byteOffset).toBe(chunk.byteOffset + 9);
  const [three] = scanner.push(Buffer.from('\n\n'));
  expect(three?.bytes.toString()).toBe('data: 3\n\n');
  chunk.fill(0);
  expect(three?.bytes.toString()).toBe('data: 3\n\n');
});

test('a frame tells its name and data without decoding the rest', () => {
  const [frame] = scan([Buffer.from('event: message_delta\ndata: {"a":1}\nid: 5\n\n')]).frames;
  expect(frame?.name()).toBe('message_delta');
  expect(frame?.dataBytes()?.toString()).toBe('{"a":1}');
  expect(frame?.event()).toEqual({ event: 'message_delta', data: '{"a":1}', id: '5' });
  const [comment] = scan([Buffer.from(': keep-alive\n\n')]).frames;
  expect(comment?.event()).toBeUndefined();
  expect(comment?.dataBytes()).toBeUndefined();
  expect(comment?.name()).toBeUndefined();
});

describe('limits', () => {
  const limits = { maxLineBytes: 10, maxEventBytes: 25 };

  test.each([
    ['a line at the limit', 'data: 6789\n\n', 'accepted'],
    ['a line one byte over', 'data: 67890\n\n', 'upstream_failed/sse_line_too_long'],
    ['a line over the limit that has not ended', 'data: 67890', 'upstream_failed/sse_line_too_long'],
    ['an event at the limit', 'data: 67\ndata: 67\ndata:\n\n', 'accepted'],
    ['an event one byte over', 'data: 67\ndata: 67\ndata: \n\n', 'upstream_failed/sse_event_too_large'],
    ['an event at the limit, ended by CR LF', 'data: 67\ndata: 6\ndata:\r\n\r\n', 'accepted'],
    [
      'an event one byte over, ended by CR LF',
      'data: 67\ndata: 67\ndata:\r\n\r\n',
      'upstream_failed/sse_event_too_large',
    ],
    [
      'an event over the limit that has not ended',
      'a\nb\nc\n'.repeat(5),
      'upstream_failed/sse_event_too_large',
    ],
    ['many small events', 'data: 1\n\n'.repeat(50), 'accepted'],
    ['many blank lines', '\r\n'.repeat(50), 'accepted'],
  ])('%s, whole and byte by byte', (_name, text, expected) => {
    const input = Buffer.from(text);
    expect(reasonOf(() => scan([input], limits))).toBe(expected);
    expect(
      reasonOf(() =>
        scan(
          [...input].map(byte => Buffer.of(byte)),
          limits,
        ),
      ),
    ).toBe(expected);
  });

  test('[I12] the events before the bad one come out however the bytes are cut, then it throws for good', () => {
    const scanner = new SseScanner(limits);
    const frames = scanner.push(Buffer.from('data: 1\n\ndata: 2\n\ndata: 345678901234567890'));
    expect(frames.map(frame => frame.event()?.data)).toEqual(['1', '2']);
    expect(reasonOf(() => scanner.push(Buffer.from('\n\n')))).toBe('upstream_failed/sse_line_too_long');
    expect(reasonOf(() => scanner.push(Buffer.from('data: 1\n\n')))).toBe(
      'upstream_failed/sse_line_too_long',
    );
    expect(reasonOf(() => scanner.end())).toBe('upstream_failed/sse_line_too_long');
  });
});

/** Run in a process of its own, so that the memory measured is the scanner's. Prints one line of JSON. */
const flood = `
  import { SseScanner } from ${JSON.stringify(new URL('./sse-scanner.ts', import.meta.url).href)};
  const { text, repeat } = JSON.parse(process.argv[1]);
  const chunk = Buffer.alloc(text.length * repeat, text);
  new SseScanner().push(Buffer.from('data: warm\\n\\n'));
  const scanner = new SseScanner();
  const before = process.resourceUsage();
  let pushedBytes = 0;
  let reason = 'accepted';
  try {
    for (; pushedBytes < 100 * 1024 * 1024; pushedBytes += chunk.length) scanner.push(chunk);
  } catch (error) {
    reason = error.reason;
  }
  const after = process.resourceUsage();
  const cpuMs = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1000;
  console.log(JSON.stringify({ reason, pushedBytes, cpuMs, peakGrowthBytes: (after.maxRSS - before.maxRSS) * 1024 }));
`;

async function runFlood(text: string, repeat: number) {
  const argument = JSON.stringify({ text, repeat });
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    flood,
    argument,
  ]);
  return JSON.parse(stdout) as {
    reason: string;
    pushedBytes: number;
    cpuMs: number;
    peakGrowthBytes: number;
  }; // its own print
}

describe('[F31] 100 MB without an end', () => {
  const mebibyte = 1024 * 1024;

  test.each([1, 17, 1_024, 65_536, 100 * mebibyte])(
    'one line in chunks of %i bytes: refused at the limit, for little memory and time',
    async chunkBytes => {
      const { reason, pushedBytes, cpuMs, peakGrowthBytes } = await runFlood('a', chunkBytes);
      expect(reason).toBe('sse_line_too_long');
      expect(pushedBytes).toBeLessThanOrEqual(mebibyte);
      expect(peakGrowthBytes).toBeLessThan(16 * mebibyte);
      expect(cpuMs).toBeLessThan(1_000);
    },
  );

  test('one event of short lines: refused for the same price', async () => {
    const { reason, pushedBytes, cpuMs, peakGrowthBytes } = await runFlood('data: abcdefgh\n', 4_096);
    expect(reason).toBe('sse_event_too_large');
    expect(pushedBytes).toBeLessThanOrEqual(4 * mebibyte);
    expect(peakGrowthBytes).toBeLessThan(16 * mebibyte);
    expect(cpuMs).toBeLessThan(1_000);
  });

  test('lines that end in CR cost no more than their bytes', () => {
    const chunk = Buffer.from(`data: ${'x'.repeat(40)}\r`.repeat(80_000));
    const started = performance.now();
    const { frames, rest } = scan([chunk, Buffer.from('\r')]);
    expect(frames).toHaveLength(1);
    expect(rest).toBeUndefined();
    expect(frames[0]?.dataBytes()).toHaveLength(41 * 80_000 - 1);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
