import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isOpen, nextSessionState, openSession, type SessionEvent, type SessionState } from './session.ts';

const limits = { idleMs: 100, absoluteMs: 1000, pendingMs: 50 };
const run = (...events: SessionEvent[]) =>
  events.reduce((state, event) => nextSessionState(state, event, limits), openSession(0));

test('a session becomes active when its client speaks again', () => {
  expect(run({ type: 'used', atMs: 5 })).toEqual({ status: 'active', createdAtMs: 0, usedAtMs: 5 });
});

test('a client that never comes back after initialize is abandoned', () => {
  expect(run({ type: 'tick', atMs: 49, isBusy: false }).status).toBe('pending');
  expect(run({ type: 'tick', atMs: 50, isBusy: false })).toEqual({ status: 'closing', reason: 'abandoned' });
});

test('idle ends a quiet session, not one with an open stream or a running call', () => {
  expect(run({ type: 'used', atMs: 10 }, { type: 'tick', atMs: 110, isBusy: true }).status).toBe('active');
  expect(run({ type: 'used', atMs: 10 }, { type: 'tick', atMs: 110, isBusy: false })).toEqual({
    status: 'closing',
    reason: 'idle',
  });
});

test('the absolute limit ends a busy session too', () => {
  expect(run({ type: 'used', atMs: 999 }, { type: 'tick', atMs: 1000, isBusy: true })).toEqual({
    status: 'closing',
    reason: 'expired',
  });
});

test('[M-10] no event leads backwards, and the first reason to end stays', () => {
  const order: SessionState['status'][] = ['pending', 'active', 'closing', 'closed'];
  const event: fc.Arbitrary<SessionEvent> = fc.oneof(
    fc.record({ type: fc.constant('used' as const), atMs: fc.nat(2000) }),
    fc.record({ type: fc.constant('tick' as const), atMs: fc.nat(2000), isBusy: fc.boolean() }),
    fc.record({
      type: fc.constant('close' as const),
      reason: fc.constantFrom('client' as const, 'evicted' as const),
    }),
    fc.record({ type: fc.constant('drained' as const) }),
  );
  fc.assert(
    fc.property(fc.array(event), events => {
      let state = openSession(0);
      for (const each of events) {
        const next = nextSessionState(state, each, limits);
        expect(order.indexOf(next.status)).toBeGreaterThanOrEqual(order.indexOf(state.status));
        if (!isOpen(state) && 'reason' in state && 'reason' in next) expect(next.reason).toBe(state.reason);
        state = next;
      }
    }),
  );
});
