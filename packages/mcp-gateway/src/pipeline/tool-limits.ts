import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { Limit } from '@strata/shared/limits/limit.ts';
import type { CallContext } from './call-context.ts';

const minuteMs = 60_000;

/** What `tool_limits` of the server says for this call: so many at a time for all, so many a minute for each principal. */
export function limitsOfTool({ caller, upstream, serverName, exposedName }: CallContext): Limit[] {
  if (serverName === undefined) return [];
  const limit = upstream.policy.toolLimits.find(({ tools }) => matchesScope([tools], serverName));
  if (!limit) return [];
  const { tenant, principal } = caller;
  const place = `mcp/${upstream.name}/${serverName}`;
  const common = {
    name: `${upstream.name}.tool_limits`,
    tenant,
    subject: { kind: 'tool', id: exposedName ?? serverName },
    isEach: false,
    windowMs: minuteMs,
  } as const;
  const limits: Limit[] = [];
  if (limit.concurrent !== undefined) {
    limits.push({ ...common, id: place, unit: 'concurrency', amount: limit.concurrent });
  }
  if (limit.perMinute !== undefined) {
    limits.push({
      ...common,
      id: `${place}/${tenant}/${principal}`,
      unit: 'tool_calls',
      amount: limit.perMinute,
    });
  }
  return limits;
}
