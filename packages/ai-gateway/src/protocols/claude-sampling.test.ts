import { expect, test } from 'vitest';
import { describeLosses, Losses } from '../domain/losses.ts';
import { claudeSampling } from './claude-sampling.ts';

test.each([
  ['a temperature of another scale', { temperature: 2 }, false, { temperature: 1 }, 'temperature=changed'],
  ['both, of which one says nothing', { temperature: 0, topP: 1 }, false, { temperature: 0 }, ''],
  ['a share alone', { topP: 1 }, false, { topP: 1 }, ''],
  ['both', { temperature: 0.5, topP: 0.5, topK: 4 }, false, { temperature: 0.5, topK: 4 }, 'top_p=dropped'],
  ['both, the other of which says nothing', { temperature: 1, topP: 0.5 }, false, { topP: 0.5 }, ''],
  ['both, neither of which says anything', { temperature: 1, topP: 1 }, false, { temperature: 1 }, ''],
  [
    'a share beside what is no temperature here',
    { temperature: 2, topP: 0.5 },
    false,
    { topP: 0.5 },
    'temperature=changed',
  ],
  ['the only temperature while thinking', { temperature: 1 }, true, {}, ''],
  ['another temperature while thinking', { temperature: 0 }, true, {}, 'temperature=dropped'],
  ['the best while thinking', { topK: 4 }, true, {}, 'top_k=dropped'],
  ['a small share while thinking', { topP: 0.5 }, true, { topP: 0.95 }, 'top_p=changed'],
  ['a large share while thinking', { topP: 0.97 }, true, { topP: 0.97 }, ''],
])('%s', (_name, sampling, isThinking, written, told) => {
  const losses = new Losses();
  expect(claudeSampling(sampling, { model: 'claude-opus-4-6', isThinking, losses })).toEqual(written);
  expect(describeLosses(losses.all)).toBe(told);
});

test.each(['claude-opus-4-7', 'anthropic.claude-sonnet-5', 'claude-fable-5-1', 'anthropic/claude-4.8-opus'])(
  '%s takes nothing of how to sample',
  model => {
    const losses = new Losses();
    const sampling = { temperature: 0.5, topP: 0.9, topK: 4 };
    expect(claudeSampling(sampling, { model, isThinking: false, losses })).toEqual({});
    expect(describeLosses(losses.all)).toBe('temperature=dropped, top_p=dropped, top_k=dropped');
    const silent = new Losses();
    const usual = { temperature: 1, topP: 1 };
    expect(claudeSampling(usual, { model, isThinking: true, losses: silent })).toEqual({});
    expect(silent.all).toEqual([]);
  },
);
