import { expect, test } from 'vitest';
import { Stopper } from './stop-signal.ts';

test('listeners are told once, in their order, with the reason in place', () => {
  const stopper = new Stopper();
  const told: unknown[] = [];
  stopper.addEventListener('abort', () => told.push(['first', stopper.aborted, stopper.reason]));
  stopper.addEventListener('abort', { handleEvent: () => told.push('second') });
  stopper.stop('why');
  stopper.stop('again');
  expect(told).toEqual([['first', true, 'why'], 'second']);
  expect(() => stopper.throwIfAborted()).toThrow('why');
});

test('who has left is told nothing, also while others are told; who comes late is told nothing either', () => {
  const stopper = new Stopper();
  const told: string[] = [];
  const leaving = () => told.push('leaving');
  stopper.addEventListener('abort', () => stopper.removeEventListener('abort', leaving));
  stopper.addEventListener('abort', leaving);
  const twice = () => told.push('twice');
  stopper.addEventListener('abort', twice);
  stopper.addEventListener('abort', twice);
  stopper.stop(undefined);
  stopper.addEventListener('abort', () => told.push('late'));
  expect(told).toEqual(['twice']);
});
