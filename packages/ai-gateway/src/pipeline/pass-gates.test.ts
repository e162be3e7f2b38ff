import { expect, test } from 'vitest';
import type { Answer, Attempt, Gate } from '../domain/call.ts';
import { passGates } from './pass-gates.ts';

const attempt = {} as Attempt; // gates and targets of these tests do not look at it
const answer = { type: 'whole' } as Answer;

function noting(notes: string[], name: string): Gate {
  return () => {
    notes.push(`${name} enters`);
    return {
      answered: () => notes.push(`${name} answered`),
      failed: error => notes.push(`${name} failed: ${String((error as Error).message)}`),
    };
  };
}

test('gates are passed in order, and told of the answer from the last to the first', async () => {
  const notes: string[] = [];
  const slow: Gate = async () => noting(notes, 'slow')(attempt) as never;
  const perform = passGates([noting(notes, 'first'), () => undefined, slow], async () => {
    notes.push('asked');
    return answer;
  });
  expect(await perform(attempt)).toBe(answer);
  expect(notes).toEqual(['first enters', 'slow enters', 'asked', 'slow answered', 'first answered']);
});

test('a gate that refuses is asked nothing more; those before it are told, and the target hears nothing', async () => {
  const notes: string[] = [];
  const refusing: Gate = () => {
    throw new Error('closed');
  };
  const perform = passGates([noting(notes, 'first'), refusing, noting(notes, 'never')], async () => {
    notes.push('asked');
    return answer;
  });
  await expect(perform(attempt)).rejects.toThrow('closed');
  expect(notes).toEqual(['first enters', 'first failed: closed']);
});

test('what the target fails with reaches every gate, and the caller unchanged', async () => {
  const notes: string[] = [];
  const perform = passGates([noting(notes, 'first'), noting(notes, 'second')], () =>
    Promise.reject(new Error('down')),
  );
  await expect(perform(attempt)).rejects.toThrow('down');
  expect(notes.slice(2)).toEqual(['second failed: down', 'first failed: down']);
});
