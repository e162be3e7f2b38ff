import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { GatewayError } from '../src/errors/gateway-error.ts';
import { AwsEventReader, formatAwsEvent } from '../src/http/aws-event-stream.ts';
import { SseScanner } from '../src/http/sse-scanner.ts';
import { mutate, split } from '../src/testing/mutate.ts';
import { seededRandom } from '../src/testing/seeded-random.ts';
import { sized } from '../src/testing/size.ts';

const inputs = sized({ ci: 1_000_000, soak: 10_000_000 });
const timeoutMs = 3_600_000;

const streams = [
  'data: {"a":1}\n\ndata: [DONE]\n\n',
  'event: ping\r\ndata: {"type":"ping"}\r\n\r\nevent: x\r\ndata: 1\r\ndata: 2\r\n\r\n',
  ': comment\n\nid: 7\rdata: é世🌍\r\rretry: 10\n\n',
  '\ufeffdata:no space\n\n\n\r\n\rdata',
].map(text => Buffer.from(text));

/** What came out, and whether it ended in a refusal. */
interface Reading {
  readonly pieces: readonly string[];
  readonly reason: string | undefined;
}

function readSse(chunks: readonly Buffer[]): Reading {
  const scanner = new SseScanner({ maxLineBytes: 64, maxEventBytes: 128 });
  const reading = read(
    chunks,
    chunk => scanner.push(chunk).map(frame => frame.bytes),
    () => {
      const rest = scanner.end();
      return rest === undefined ? [] : [rest.frame.bytes];
    },
  );
  return { ...reading, pieces: withLateLineEnds(reading.pieces) };
}

/** A LF that comes in a later chunk than its CR is a frame of its own (see `SseScanner`); here it counts to the frame before. */
function withLateLineEnds(pieces: readonly string[]): string[] {
  const joined: string[] = [];
  for (const piece of pieces) {
    const before = joined.at(-1);
    if (piece === '\n' && before?.endsWith('\r')) joined[joined.length - 1] = `${before}\n`;
    else joined.push(piece);
  }
  return joined;
}

function readAws(chunks: readonly Buffer[]): Reading {
  const reader = new AwsEventReader({ maxMessageBytes: 4096 });
  return read(
    chunks,
    chunk =>
      reader.push(chunk).map(({ bytes }) => {
        requireChecksums(bytes);
        return bytes;
      }),
    () => {
      reader.end();
      return [];
    },
  );
}

function read(
  chunks: readonly Buffer[],
  push: (chunk: Buffer) => readonly Buffer[],
  end: () => readonly Buffer[],
): Reading {
  const pieces: string[] = [];
  const keep = (bytes: readonly Buffer[]) => {
    for (const each of bytes) pieces.push(each.toString('latin1'));
  };
  try {
    for (const chunk of chunks) keep(push(chunk));
    keep(end());
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { pieces, reason: error.reason };
  }
  return { pieces, reason: undefined };
}

/** Read again by hand: no message may come out whose checksums are wrong. */
function requireChecksums(bytes: Buffer): void {
  const { length } = bytes;
  const isSound =
    bytes.readUInt32BE(0) === length &&
    bytes.readUInt32BE(8) === crc32(bytes.subarray(0, 8)) &&
    bytes.readUInt32BE(length - 4) === crc32(bytes.subarray(0, length - 4));
  if (!isSound) throw new Error(`A message with a wrong checksum came out: ${bytes.toString('hex')}`);
}

function requireSame(seed: number, input: Buffer, whole: Reading, cut: Reading): void {
  if (whole.reason === cut.reason && whole.pieces.join('\0') === cut.pieces.join('\0')) return;
  throw new Error(
    `seed ${seed}, input ${input.toString('hex')}: whole ${JSON.stringify(whole)}, cut ${JSON.stringify(cut)}`,
  );
}

test('any bytes as server-sent events: the same frames at every split, each a piece of the input, none lost', {
  timeout: timeoutMs,
}, () => {
  const seed = Date.now() & 0xffff;
  const random = seededRandom(seed);
  let refused = 0;
  for (let index = 0; index < inputs; index++) {
    const input = mutate(streams, random);
    const whole = readSse([input]);
    requireSame(seed, input, whole, readSse(split(input, random)));
    const text = whole.pieces.join('');
    if (whole.reason !== undefined) refused++;
    if (
      whole.reason === undefined
        ? text !== input.toString('latin1')
        : !input.toString('latin1').startsWith(text)
    )
      throw new Error(`seed ${seed}: bytes were lost or made up of ${input.toString('hex')}`);
  }
  expect(refused).toBeLessThan(inputs);
});

const messages = [
  formatAwsEvent({ messageType: 'event', type: 'messageStart', payload: { role: 'assistant' } }),
  formatAwsEvent({ messageType: 'event', type: 'delta', payload: { text: 'é世🌍' } }),
  formatAwsEvent({ messageType: 'exception', type: 'throttlingException', payload: {} }),
];
const awsStreams = [messages[0], messages[1], Buffer.concat(messages.slice(0, 2)), messages[2]].filter(
  each => each !== undefined,
);

test('any bytes as an AWS event stream: the same messages at every split, none with a wrong checksum', {
  timeout: timeoutMs,
}, () => {
  const seed = Date.now() & 0xffff;
  const random = seededRandom(seed);
  let sound = 0;
  for (let index = 0; index < inputs; index++) {
    const isSound = (index & 3) === 0;
    const input = isSound
      ? (awsStreams[(index >> 2) % awsStreams.length] ?? Buffer.alloc(0))
      : mutate(awsStreams, random);
    const cut = readAws(split(input, random));
    // Read whole as well where the bytes are damaged: sound ones are known.
    if (!isSound) requireSame(seed, input, readAws([input]), cut);
    else if (cut.reason !== undefined || cut.pieces.join('') !== input.toString('latin1'))
      throw new Error(`seed ${seed}: sound messages did not come out as they went in`);
    if (cut.pieces.length > 0) sound++;
  }
  expect(sound).toBeGreaterThan(inputs / 8);
});
