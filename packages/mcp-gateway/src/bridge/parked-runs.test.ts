import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { createLogger } from '@strata/shared/telemetry/logger.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import { ParkedRuns } from './parked-runs.ts';

test('calls of one principal that wait for it have a limit, before which the oldest outcome goes', async () => {
  const clock = createManualClock();
  const parked = new ParkedRuns({
    hot: createMemoryHot(clock),
    clock,
    log: createLogger({ service: 'test', level: 'silent' }),
    instance: 'one',
  });
  const runOf = (owner: string, id: string, isSettled = false) => ({
    id,
    owner,
    isSettled,
    resume: () => {},
    leave: () => {},
  });
  for (let each = 0; each < 999; each++) parked.add(runOf('ann', `run ${each}`));
  const settled = runOf('ann', 'settled', true);
  parked.add(settled);
  parked.add(runOf('ann', 'in its place'));
  parked.add(runOf('ann', 'run 7')); // asks again
  parked.add(runOf('bob', 'another'));
  expect(parked.size).toBe(1001);
  expect(() => parked.add(runOf('ann', 'too much'))).toThrow(
    expect.objectContaining({ reason: 'too_many_parked_calls' }),
  );
  await parked.close();
});
