import { noScopes } from '@strata/shared/identity/scopes.ts';
import { expect, test } from 'vitest';
import type { Attempt } from '../domain/call.ts';
import { createAuthorize } from './authorize.ts';

function attemptOf(models: readonly string[]): Attempt {
  const caller = { scopes: { ...noScopes, models } };
  const call = { caller, route: { alias: 'gpt-5' }, protocol: { name: 'openai-chat' } };
  return { call, target: { provider: { name: 'main' }, model: 'm' } } as unknown as Attempt; // all that this stage may look at
}

test('[A13] the allowlist is asked for every attempt, and a refusal reaches no target', () => {
  const authorize = createAuthorize({ require: () => {} });
  expect(authorize(attemptOf(['gpt-*']))).toBeUndefined();
  for (const models of [[], ['gpt-4'], ['GPT-5']]) {
    expect(() => authorize(attemptOf(models))).toThrow(
      expect.objectContaining({
        class: 'caller-fault',
        error: expect.objectContaining({ kind: 'permission_denied', reason: 'model_not_allowed' }),
      }),
    );
  }
});
