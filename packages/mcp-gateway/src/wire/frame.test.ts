import { splice } from '@strata/shared/json/splice.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idKey, parseFrame, parseFrames, rawText, textParam } from './frame.ts';
import { onOneLine } from './splice.ts';

const frameOf = (text: string) => parseFrame(Buffer.from(text));

test('tells requests, notifications and answers apart', () => {
  expect(frameOf('{"jsonrpc":"2.0","id":1,"method":"ping"}').kind).toBe('request');
  expect(frameOf('{"jsonrpc":"2.0","method":"notifications/initialized"}').kind).toBe('notification');
  expect(frameOf('{"jsonrpc":"2.0","id":1,"result":{}}').kind).toBe('response');
  expect(frameOf('{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}').kind).toBe('response');
});

test.each([
  ['not JSON', '{"jsonrpc":', -32700],
  ['no object', '42', -32600],
  ['no version', '{"id":1,"method":"ping"}', -32600],
  ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600],
  ['a version that is no text', '{"jsonrpc":[2.0],"id":1,"method":"ping"}', -32600],
  ['a version that is a number', '{"jsonrpc":12.03,"id":1,"method":"ping"}', -32600],
  ['null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
  ['object id', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
  ['huge id', `{"jsonrpc":"2.0","id":"${'x'.repeat(2000)}","method":"ping"}`, -32600],
  ['method is a number', '{"jsonrpc":"2.0","id":1,"method":7}', -32600],
  ['params is an array', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600],
  ['result and error', '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', -32600],
  ['neither', '{"jsonrpc":"2.0","id":1}', -32600],
  ['request and answer', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600],
  ['two methods', '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', -32600],
  [
    'two names',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\\u0061me":"b"}}',
    -32600,
  ],
])('refuses a bad envelope: %s', (_name, text, code) => {
  expect(frameOf(text)).toMatchObject({ kind: 'bad', code });
});

test('bytes that are not UTF-8 are refused', () => {
  expect(parseFrame(Buffer.from([0x22, 0xff, 0x22]))).toMatchObject({ kind: 'bad', code: -32700 });
});

test('a bad envelope with a readable id keeps the id for its answer', () => {
  const frame = frameOf('{"jsonrpc":"2.0","id":9007199254740993,"method":""}');
  expect(frame.kind === 'bad' && frame.id?.toString()).toBe('9007199254740993');
});

test('any id survives a splice byte for byte, and the rest of the message with it', () => {
  const id = fc.oneof(
    fc.string().map(text => JSON.stringify(text)),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  );
  fc.assert(
    fc.property(id, fc.dictionary(fc.string(), fc.jsonValue()), (raw, extra) => {
      const rest = JSON.stringify(extra);
      const bytes = Buffer.from(
        `{ "jsonrpc":"2.0", "id": ${raw} ,"method":"x","params":{"arguments":${rest}} }`,
      );
      const frame = parseFrame(bytes);
      if (frame.kind !== 'request') throw new Error('a request was expected');
      expect(rawText(bytes, frame.id)).toBe(raw);
      const up = splice(bytes, [{ ...frame.id, text: '17' }]);
      const back = parseFrame(up);
      if (back.kind !== 'request') throw new Error('a request was expected');
      expect(idKey(up, back.id)).toBe('n:17');
      expect(splice(up, [{ ...back.id, text: raw }])).toEqual(bytes);
    }),
  );
});

test('several edits meet their places in any order and must not overlap', () => {
  const bytes = Buffer.from('0123456789');
  const edits = [
    { start: 8, end: 9, text: 'B' },
    { start: 2, end: 4, text: '' },
    { start: 5, end: 5, text: 'new' },
  ];
  expect(splice(bytes, edits).toString()).toBe('014new567B9');
  expect(() =>
    splice(bytes, [
      { start: 1, end: 3, text: '' },
      { start: 2, end: 4, text: '' },
    ]),
  ).toThrow('overlap');
});

test('a pretty-printed message fits on one line and means the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const pretty = Buffer.from(JSON.stringify(value, null, 2).replaceAll('\n', '\r\n'));
      const line = onOneLine(pretty);
      expect(line.includes(0x0a) || line.includes(0x0d)).toBe(false);
      expect(JSON.parse(line.toString())).toEqual(JSON.parse(pretty.toString()));
    }),
  );
});

test('the elements of a batch are read each by itself', () => {
  const batch = parseFrames(
    Buffer.from(' [{"jsonrpc":"2.0","id":1,"method":"ping"}, 7, {"jsonrpc":"2.0","method":"n"}]'),
  );
  expect(batch.isBatch).toBe(true);
  expect(batch.frames.map(frame => frame.kind)).toEqual(['request', 'bad', 'notification']);
  // One error, not a list of one (JSON-RPC 2.0, section 6).
  const { isBatch, frames } = parseFrames(Buffer.from('[]'));
  expect([isBatch, frames[0]]).toMatchObject([false, { kind: 'bad', code: -32600 }]);
});

test('names are read decoded', () => {
  const frame = frameOf('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"caf\\u00e9__x"}}');
  expect(frame.kind === 'request' && textParam(frame, 'name')).toBe('café__x');
});

test('arbitrary bytes give a frame or a bad frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), input => {
      parseFrames(Buffer.from(input));
    }),
    { numRuns: 2000 },
  );
});
