import { expect, test } from 'vitest';
import { describeLosses, Losses } from '../domain/losses.ts';
import type { NeutralRequest } from '../domain/neutral-request.ts';
import { claudeThinking, noClaudeThinking } from './claude-thinking.ts';
import { claudeVersion } from './claude-version.ts';

test.each([
  ['claude-3-7-sonnet-20250219', 307],
  ['claude-3-opus-20240229', 300],
  ['claude-opus-4-20250514', 400],
  ['us.anthropic.claude-opus-4-1-20250805-v1:0', 401],
  ['claude-sonnet-4-5@20250929', 405],
  ['anthropic/claude-4.6-opus', 406],
  ['claude-opus-4-7', 407],
  ['anthropic.claude-sonnet-5-v1:0', 500],
  ['claude-fable-5-1', 501],
  ['claude-opus-20260101', undefined],
  ['claude-v2', undefined],
  ['m', undefined],
] as const)('the version in %s is %s', (model, version) => {
  expect(claudeVersion(model)).toBe(version);
});

const adaptive = { type: 'adaptive' };
const budget = (tokens: number) => ({ type: 'enabled', budget_tokens: tokens });

test.each([
  ['claude-opus-4-5', { effort: 'high' }, { option: budget(24_576) }, ''],
  ['claude-opus-4-5', { budgetTokens: 2000, effort: 'high' }, { option: budget(2000), effort: 'high' }, ''],
  [
    'claude-sonnet-4-5',
    { budgetTokens: 2000, effort: 'high' },
    { option: budget(2000) },
    'reasoning.effort=dropped',
  ],
  [
    'claude-opus-4-5',
    { budgetTokens: 2000, effort: 'max' },
    { option: budget(2000), effort: 'high' },
    'reasoning.effort=changed',
  ],
  ['claude-opus-4-6', { effort: 'xhigh' }, { option: adaptive, effort: 'high' }, 'reasoning.effort=changed'],
  ['claude-opus-4-6', { effort: 'constructor' }, { option: adaptive, effort: 'constructor' }, ''],
  ['claude-opus-4-6', { effort: 'max' }, { option: adaptive, effort: 'max' }, ''],
  ['claude-opus-4-7', { effort: 'xhigh' }, { option: adaptive, effort: 'xhigh' }, ''],
  ['claude-opus-4-6', { effort: 'low', isShown: true }, { option: adaptive, effort: 'low' }, ''],
  [
    'claude-opus-4-7',
    { effort: 'low', isShown: true },
    { option: { ...adaptive, display: 'summarized' }, effort: 'low' },
    '',
  ],
  [
    'claude-opus-4-7',
    { effort: 'low', isShown: false },
    { option: { ...adaptive, display: 'omitted' }, effort: 'low' },
    '',
  ],
  ['claude-opus-4-6', { effort: 'high' }, { option: adaptive, effort: 'high' }, ''],
  ['claude-opus-4-6', { budgetTokens: 2000, effort: 'low' }, { option: budget(2000), effort: 'low' }, ''],
  ['claude-opus-4-7', { effort: 'minimal' }, { option: adaptive, effort: 'low' }, 'reasoning.effort=changed'],
  [
    'claude-opus-4-7',
    { budgetTokens: 20_000 },
    { option: adaptive, effort: 'high' },
    'reasoning.budget_tokens=changed',
  ],
  [
    'claude-sonnet-5',
    { budgetTokens: 2000, effort: 'max' },
    { option: adaptive, effort: 'max' },
    'reasoning.budget_tokens=changed',
  ],
  ['a-model', { effort: 'low' }, { option: adaptive, effort: 'low' }, ''],
  ['a-model', { budgetTokens: 2000 }, { option: budget(2000) }, ''],
] as const)('%s is told %j in a way that it takes', (model, options, written, told) => {
  const losses = new Losses();
  const request = { reasoning: { isEnabled: true, ...options }, sampling: {} } as unknown as NeutralRequest; // the rest is not looked at
  const { option, effort } = claudeThinking(request, { model }, { inDoubt: 'adaptive', losses });
  expect({ option, effort }).toEqual({ effort: undefined, ...written });
  expect(describeLosses(losses.all)).toBe(told);
});

test.each([
  ['anthropic.claude-opus-4-6-v1:0', adaptive],
  ['a-model', budget(2048)],
])('%s: only where the version is not known doubt decides', (model, option) => {
  const losses = new Losses();
  const request = {
    reasoning: { isEnabled: true, effort: 'low' },
    sampling: {},
  } as unknown as NeutralRequest; // the rest is not looked at
  expect(claudeThinking(request, { model }, { inDoubt: 'budget', losses }).option).toEqual(option);
});

test.each([
  ['claude-opus-4-7', { option: { type: 'disabled' } }, ''],
  ['claude-opus-5', { option: { type: 'disabled' } }, ''],
  ['claude-haiku-5-5', { option: { type: 'disabled' } }, ''],
  ['a-model', { option: { type: 'disabled' } }, ''],
  ['claude-sonnet-5-5', { option: { type: 'between_tools' } }, 'reasoning=changed'],
  ['claude-opus-5-5', {}, 'reasoning=dropped'],
  ['anthropic.claude-fable-5-v1:0', {}, 'reasoning=dropped'],
  ['claude-mythos-preview', {}, 'reasoning=dropped'],
])('%s is told not to think in a way that it takes', (model, written, told) => {
  const losses = new Losses();
  expect(noClaudeThinking(model, losses)).toEqual(written);
  expect(describeLosses(losses.all)).toBe(told);
});
