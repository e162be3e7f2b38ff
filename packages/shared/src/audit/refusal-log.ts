import type { Clock, Scheduled } from '../clock.ts';
import type { GatewayError } from '../errors/gateway-error.ts';
import type { RefusedRequest } from '../http/render-refusal.ts';
import type { Caller } from '../identity/caller.ts';
import type { Denial } from '../identity/policy-guard.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import type { AuditLog } from './audit-log.ts';
import { type AuditEvent, installationTenant } from './audit-record.ts';

/**
 * Enters refused calls without letting a flood of them fill the disk: so many a minute one by one, equal ones beyond that added up to
 * one entry with a count, and what is beyond even that to one entry for all.
 */
export interface RefusalLog {
  /** Never blocks, never throws. */
  record(event: AuditEvent): void;
  /** For the server: a request that was answered with `unauthenticated` or `permission_denied`. */
  recordRequest(request: RefusedRequest, error: GatewayError): void;
  /** For the policies: what a rule refused, wherever it was asked. */
  recordDenial(denial: Denial): void;
  /** Enters what was added up. */
  close(): void;
}

interface Sum {
  readonly event: AuditEvent;
  count: number;
}

const windowMs = 60_000;
const maxSums = 500;
/** Names come from callers, and sums are kept in memory. */
const maxNameLength = 512;

export function createRefusalLog(deps: {
  readonly audit: Pick<AuditLog, 'record'>;
  readonly clock: Clock;
  readonly perMinute: number;
}): RefusalLog {
  const { audit, clock, perMinute } = deps;
  const sums = new Map<string, Sum>();
  let entered = 0;
  let timer: Scheduled | undefined;

  function endWindow(): void {
    timer?.cancel();
    timer = undefined;
    entered = 0;
    for (const { event, count } of sums.values())
      audit.record({ ...event, details: { count, window_ms: windowMs } });
    sums.clear();
  }

  function add(event: AuditEvent): void {
    const { requestId: _one, traceId: _other, sensitive: _third, details: _fourth, ...equal } = event;
    const key = canonicalJson(equal);
    const sum = sums.get(key);
    if (sum !== undefined) sum.count++;
    else if (sums.size < maxSums) sums.set(key, { event: equal, count: 1 });
    else addToRest(event);
  }

  function addToRest({ category, action, outcome }: AuditEvent): void {
    const target = { type: 'route', id: 'many different ones' };
    const event = { tenant: installationTenant, category, action, outcome, target };
    const key = canonicalJson(event);
    const sum = sums.get(key);
    if (sum !== undefined) sum.count++;
    else sums.set(key, { event, count: 1 });
  }

  function record(event: AuditEvent): void {
    timer ??= clock.schedule(windowMs, endWindow);
    if (entered >= perMinute) {
      add(event);
      return;
    }
    entered++;
    audit.record(event);
  }

  return {
    record,
    recordRequest(request, error) {
      if (error.reason === 'policy_denied') return; // entered by `recordDenial`, with the rule
      record(refusedRequest(request, error));
    },
    recordDenial: denial => record(deniedResource(denial)),
    close: endWindow,
  };
}

/** The route as it was registered, never the path, which anybody can invent. */
function refusedRequest(request: RefusedRequest, error: GatewayError): AuditEvent {
  const isUnknown = error.kind === 'unauthenticated';
  const caller = isUnknown ? undefined : request.caller;
  const common = {
    outcome: 'refused',
    reason: error.reason,
    target: { type: 'route', id: `${request.method} ${request.routeOptions.url ?? 'unknown'}` },
    requestId: request.id,
    traceId: request.traceContext.traceId,
    ...(request.ip !== undefined && { sensitive: { address: request.ip } }),
  } as const;
  if (caller === undefined)
    return { ...common, tenant: installationTenant, category: 'auth_failure', action: 'caller.authenticate' };
  return { ...common, ...actorOf(caller), category: 'policy_denial', action: 'request.authorize' };
}

function deniedResource({ caller, resource, operation, decision }: Denial): AuditEvent {
  return {
    ...actorOf(caller),
    category: 'policy_denial',
    action: `${resource.kind}.use`,
    outcome: 'refused',
    reason: decision.reason,
    target: { type: resource.kind, id: resource.name.slice(0, maxNameLength) },
    details: { rule: decision.rule, operation },
  };
}

function actorOf(caller: Caller) {
  return {
    tenant: caller.tenant,
    principal: caller.principal,
    keyId: caller.keyId,
    actors: caller.envelope?.actors,
    runId: caller.envelope?.runId,
    taskId: caller.envelope?.taskId,
  };
}
