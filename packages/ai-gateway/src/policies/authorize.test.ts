import { noScopes } from '@strata/shared/identity/scopes.ts';
import { expect, test, vi } from 'vitest';
import type { Attempt } from '../domain/call.ts';
import { authorize } from './authorize.ts';

function attemptOf(models: readonly string[]): Attempt {
  const call = { caller: { scopes: { ...noScopes, models } }, route: { alias: 'gpt-5' } };
  return { call } as unknown as Attempt; // all that this stage may look at
}

test('[A13] the allowlist is asked for every attempt, and a refusal reaches no target', async () => {
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
