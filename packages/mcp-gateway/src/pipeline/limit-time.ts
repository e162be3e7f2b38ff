import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { failCall } from '../domain/exchange.ts';
import type { CallStage } from './call-context.ts';

/** Cancels a call that takes longer than its tool or server may. */
export function limitTime(clock: Clock): CallStage {
  return async (context, next) => {
    const { upstream, serverName, frame, call } = context;
    const toolLimit =
      frame.method === 'tools/call' ? upstream.policy.toolTimeoutsMs[serverName ?? ''] : undefined;
    const limitMs = toolLimit ?? upstream.policy.callTimeoutMs;
    const timer = clock.schedule(limitMs, () => {
      failCall(
        call,
        new GatewayError('timeout', `The server '${upstream.name}' did not answer within ${limitMs} ms.`, {
          reason: 'call_timeout',
          details: { server: upstream.name },
        }),
      );
    });
    try {
      return await next();
    } finally {
      timer.cancel();
    }
  };
}
