import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { failCall } from '../domain/exchange.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { CallContext } from './call-context.ts';
import type { CallWatcher } from './watch-calls.ts';

type LimitedCall = Pick<CallContext, 'caller' | 'upstream' | 'serverName' | 'frame' | 'call'>;

/** Cancels a call that takes longer than its tool or server may, or than whoever asked can wait for. Refuses one whose time is over. */
export function limitTime(clock: Clock): CallWatcher {
  return context => limitCall(clock, context);
}

/** From now until what it returns is called. @throws GatewayError timeout (`deadline_passed`) */
export function limitCall(
  clock: Clock,
  { caller, upstream, serverName, frame, call }: LimitedCall,
): () => void {
  const toolLimit =
    frame.method === 'tools/call' ? upstream.policy.toolTimeoutsMs[serverName ?? ''] : undefined;
  const limitMs = toolLimit ?? upstream.policy.callTimeoutMs;
  const { deadlineAtMs } = caller.envelope ?? {};
  const leftMs = deadlineAtMs === undefined ? Number.POSITIVE_INFINITY : deadlineAtMs - clock.now();
  if (leftMs <= 0) throw deadlinePassed();
  const isOwnLimit = leftMs >= limitMs;
  const onTime = () => {
    // What a person takes to answer is not the server's time.
    if (call.isWaitingForClient && isOwnLimit) timer = clock.schedule(limitMs, onTime);
    else failCall(call, isOwnLimit ? tooSlow(upstream, limitMs) : deadlinePassed());
  };
  let timer = clock.schedule(Math.min(limitMs, leftMs), onTime);
  return () => timer.cancel();
}

function tooSlow(upstream: Upstream, limitMs: number): GatewayError {
  return new GatewayError('timeout', `The server '${upstream.name}' did not answer within ${limitMs} ms.`, {
    reason: 'call_timeout',
    details: { server: upstream.name },
  });
}

function deadlinePassed(): GatewayError {
  return new GatewayError('timeout', 'The deadline of the run that asked has passed.', {
    reason: 'deadline_passed',
  });
}
