import { noScopes } from '@strata/shared/identity/scopes.ts';
import { expect, test, vi } from 'vitest';
import type { Attempt } from '../domain/call.ts';
import { createAuthorize } from './authorize.ts';

function attemptOf(models: readonly string[]): Attempt {
  const caller = { scopes: { ...noScopes, models } };
  const call = { caller, route: { alias: 'gpt-5' }, protocol: { name: 'openai-chat' } };
  return { call, target: { provider: { name: 'main' }, model: 'm' } } as unknown as Attempt; // all that this stage may look at
}

test('[A13] the allowlist is asked for every attempt, and a refusal reaches no target', async () => {
  const authorize = createAuthorize({ require: () => {} });
  const next = vi.fn(async () => ({ type: 'whole' }) as never);
  await authorize(attemptOf(['gpt-*']), next);
  expect(next).toHaveBeenCalledTimes(1);
  for (const models of [[], ['gpt-4'], ['GPT-5']]) {
    await expect(authorize(attemptOf(models), next)).rejects.toMatchObject({
      class: 'caller-fault',
      error: { kind: 'permission_denied', reason: 'model_not_allowed' },
    });
  }
  expect(next).toHaveBeenCalledTimes(1);
});
