import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import { createResponseStore } from '../src/store/response-store.ts';
import { startSweeping } from '../src/store/sweep-conversations.ts';

test('an answer is kept for its time, then it is gone and its row is removed', async () => {
  const deps = await createTestDeps();
  const clock = createManualClock();
  const { sql, telemetry } = deps;
  const store = createResponseStore({ sql, clock, ttlMs: () => 60_000 });
  const stop = startSweeping([store], { clock, log: telemetry.log });
  const owner = { tenant: 'acme', principal: 'user:ada' };
  await store.save(owner, { id: 'resp_1', response: { id: 'resp_1' }, input: [] });
  await clock.advance(59_999);
  expect(await store.find(owner, 'resp_1')).toMatchObject({ id: 'resp_1' });
  await clock.advance(1);
  expect(await store.find(owner, 'resp_1')).toBeUndefined();
  expect(await store.remove(owner, 'resp_1')).toBe(false);
  await clock.advance(600_000);
  const rows = () => sql.db.selectFrom('stored_responses').select('id').execute();
  await expect.poll(rows, { timeout: 10_000 }).toEqual([]);
  stop();
  await deps.close();
});
