import { expect, test } from 'vitest';
import { parseFrame } from '../frame.ts';
import { withSubscription } from './subscription.ts';

const key = 'io.modelcontextprotocol/subscriptionId';

function told(params: string | undefined): Record<string, unknown> {
  const rest = params === undefined ? '' : `,"params":${params}`;
  const frame = parseFrame(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/tasks"${rest}}`));
  if (frame.kind !== 'notification') throw new Error('a notification was written');
  return JSON.parse(withSubscription(frame, '"mine"')).params;
}

test.each([
  ['none', '{"taskId":"t"}', {}],
  ['an empty one', '{"_meta":{},"taskId":"t"}', {}],
  ['the one of the hop', `{"_meta":{"${key}":7,"kept":1},"taskId":"t"}`, { kept: 1 }],
  ['another', '{"_meta":{"kept":1},"taskId":"t"}', { kept: 1 }],
  ['a number', '{"_meta":5,"taskId":"t"}', {}],
  ['a text', '{"taskId":"t","_meta":"x"}', {}],
  ['a list', '{"_meta":[],"taskId":"t"}', {}],
  ['nothing', '{"_meta":null,"taskId":"t"}', {}],
])('a notification whose `_meta` is %s is told under the id of the stream', (_name, params, kept) => {
  expect(told(params)).toEqual({ taskId: 't', _meta: { ...kept, [key]: 'mine' } });
});

test('a notification without parameters is told as it is', () => {
  expect(told(undefined)).toBeUndefined();
});
