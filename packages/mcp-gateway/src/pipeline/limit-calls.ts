import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { CallRates } from '../domain/call-rates.ts';
import type { ToolLimit } from '../domain/upstream.ts';
import type { CallContext, CallStage } from './call-context.ts';

/** Holds tools to their limits: so many calls at a time for all, so many a minute for each principal. In this process. */
export function limitCalls(clock: Clock): CallStage {
  const running = new Map<string, number>();
  const rates = new CallRates();
  return async (context, next) => {
    const limit = limitOf(context);
    if (!limit) return next();
    const { upstream, serverName, caller } = context;
    const tool = `${upstream.name} ${serverName}`;
    const count = running.get(tool) ?? 0;
    if (limit.concurrent !== undefined && count >= limit.concurrent) throw tooMany(context, 1000);
    if (limit.perMinute !== undefined) {
      const key = `${caller.tenant} ${caller.principal} ${tool}`;
      const waitMs = rates.take(key, limit.perMinute, clock.monotonic());
      if (waitMs > 0) throw tooMany(context, waitMs);
    }
    running.set(tool, count + 1);
    try {
      return await next();
    } finally {
      const left = (running.get(tool) ?? 1) - 1;
      if (left > 0) running.set(tool, left);
      else running.delete(tool);
    }
  };
}

function limitOf({ frame, upstream, serverName }: CallContext): ToolLimit | undefined {
  if (frame.method !== 'tools/call' || serverName === undefined) return undefined;
  return upstream.policy.toolLimits.find(({ tools }) => matchesScope([tools], serverName));
}

function tooMany({ exposedName }: CallContext, waitMs: number): GatewayError {
  return new GatewayError('rate_limited', `The tool '${exposedName}' is called too often.`, {
    reason: 'tool_limit_reached',
    retryAfterMs: waitMs,
  });
}
