import { expect, test } from 'vitest';
import { HeldMessages } from './held-messages.ts';

test('what happens before the first message is told behind it, and the rest as it comes', () => {
  const sent: string[] = [];
  const messages = new HeldMessages(message => void sent.push(message));
  messages.tell('early');
  expect(sent).toEqual([]);
  messages.begin('first');
  messages.tell('late');
  expect(sent).toEqual(['first', 'early', 'late']);
});

test('more than may be held begins nothing, and says so', () => {
  const sent: string[] = [];
  const messages = new HeldMessages(message => void sent.push(message));
  for (let each = 0; each <= 20_000; each++) messages.tell('early');
  expect(() => messages.begin('first')).toThrow(expect.objectContaining({ reason: 'too_many_changes' }));
  expect(sent).toEqual([]);
});
