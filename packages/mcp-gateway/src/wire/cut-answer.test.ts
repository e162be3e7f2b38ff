import { expect, test } from 'vitest';
import { idOfCutAnswer } from './cut-answer.ts';

const idOf = (line: string) =>
  idOfCutAnswer({ head: Buffer.from(line.slice(0, 256)), tail: Buffer.from(line.slice(-256)) });
const long = JSON.stringify({ content: 'x'.repeat(1000), id: 99 });

test.each([
  [`{"jsonrpc":"2.0","id":7,"result":${long}}`, 7],
  [`{"id":7,"jsonrpc":"2.0","result":${long}}`, 7],
  [`{"result":${long},"jsonrpc":"2.0","id":7}`, 7],
  [`{"jsonrpc":"2.0","result":${long},"id":7}`, 7],
  [`{"result":${long},"id":7,"jsonrpc":"2.0"}`, 7],
  [` { "jsonrpc" : "2.0" , "id" : 7 , "result" : ${long} } `, 7],
])('the call of an answer is known by its two ends: %.40s…', (line, id) => {
  expect(idOf(line)).toBe(id);
});

test.each([
  ['a question of the server', `{"method":"sampling/createMessage","params":${long},"jsonrpc":"2.0","id":7}`],
  ['a question with its id first', `{"jsonrpc":"2.0","id":7,"method":"x","params":${long}}`],
  ['a notification', `{"jsonrpc":"2.0","method":"notifications/message","params":${long}}`],
  ['an id within the result', `{"result":{"content":"${'x'.repeat(500)}","id":7}}`],
  ['an id in a text', `{"result":{"content":"${'x'.repeat(500)},\\"id\\":7}"},"jsonrpc":"2.0"}`],
  ['an id that is none of the gateway’s', `{"jsonrpc":"2.0","id":"7","result":${long}}`],
  ['no JSON', 'x'.repeat(1000)],
])('%s is the answer to no call', (_what, line) => {
  expect(idOf(line)).toBeUndefined();
});
