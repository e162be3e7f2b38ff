import { expect, test } from 'vitest';
import { createManualClock } from '../testing/manual-clock.ts';
import type { AuditEvent } from './audit-record.ts';
import { createRefusalLog } from './refusal-log.ts';

const refusal = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  tenant: 'acme',
  category: 'policy_denial',
  action: 'request.authorize',
  outcome: 'refused',
  principal: 'user:ada',
  ...more,
});

function open(perMinute: number) {
  const clock = createManualClock();
  const entered: AuditEvent[] = [];
  const log = createRefusalLog({ audit: { record: event => entered.push(event) }, clock, perMinute });
  return { clock, entered, log };
}

test('a flood of refusals is entered as so many entries and one count for equal ones', async () => {
  const { clock, entered, log } = open(10);
  for (let count = 0; count < 5000; count++) log.record(refusal({ requestId: `req_${count}` }));
  expect(entered).toHaveLength(10);
  await clock.advance(60_000);
  expect(entered).toHaveLength(11);
  expect(entered.at(-1)).toMatchObject({ principal: 'user:ada', details: { count: 4990 } });
  log.record(refusal());
  expect(entered).toHaveLength(12);
  log.close();
});

test('a flood of refusals that all differ is bounded too, and none is forgotten', async () => {
  const { clock, entered, log } = open(10);
  for (let count = 0; count < 5000; count++) log.record(refusal({ principal: `user:${count}` }));
  await clock.advance(60_000);
  expect(entered.length).toBeLessThan(10 + 502);
  const total = entered.reduce((sum, { details }) => {
    const count = details && typeof details === 'object' && 'count' in details ? Number(details.count) : 1;
    return sum + count;
  }, 0);
  expect(total).toBe(5000);
});
