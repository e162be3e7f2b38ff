import { hash } from 'node:crypto';
import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { HistogramSeries } from '@strata/shared/telemetry/histograms.ts';
import { durationBuckets, metricNames } from '@strata/shared/telemetry/semantic-conventions.ts';
import type { Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { CallContext } from './call-context.ts';
import { type CallOutcome, callOutcome } from './call-outcome.ts';
import type { CallWatcher } from './watch-calls.ts';

type SeriesByOutcome = Partial<Record<CallOutcome, HistogramSeries>>;

/**
 * One record for each call that reached for a server: who, with which key, what, with which arguments (as a digest, never
 * as text), with which outcome, how long, in which trace.
 */
export function recordCall(deps: {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** Where calls of tools are entered. */
  readonly audit: { record(event: AuditEvent): void };
}): CallWatcher {
  const { telemetry, clock, audit } = deps;
  const duration = telemetry.histograms.histogram(metricNames.mcpServerDuration, {
    unit: 's',
    description: 'Duration of requests that were passed on to a server.',
    boundaries: durationBuckets,
  });
  const series = new WeakMap<Upstream, Map<string, SeriesByOutcome>>();
  const seriesOfMethod = (upstream: Upstream, method: string): SeriesByOutcome => {
    const byMethod = series.get(upstream) ?? new Map<string, SeriesByOutcome>();
    const found = byMethod.get(method) ?? {};
    byMethod.set(method, found);
    series.set(upstream, byMethod);
    return found;
  };
  const seriesOf = ({ frame, upstream }: CallContext, outcome: CallOutcome): HistogramSeries => {
    const { method } = frame;
    const byOutcome = seriesOfMethod(upstream, method);
    byOutcome[outcome] ??= duration.series({ 'mcp.method.name': method, server: upstream.name, outcome });
    return byOutcome[outcome];
  };
  return context => {
    const startedMs = clock.monotonic();
    const finish = (outcome: CallOutcome, reason: string | undefined, resultBytes: number) => {
      const durationMs = clock.monotonic() - startedMs;
      seriesOf(context, outcome).record(durationMs / 1000);
      const isLogged = telemetry.log.isLevelEnabled('info');
      const isAudited = context.frame.method === 'tools/call';
      const digest = isLogged || isAudited ? argumentsDigest(context) : undefined;
      if (isAudited)
        audit.record(toolCallEvent(context, digest, { outcome, reason, durationMs, resultBytes }));
      if (!isLogged) return;
      telemetry.log.info(
        {
          call: recordOf(context, digest),
          outcome,
          reason,
          resultBytes,
          durationMs: Math.round(durationMs * 10) / 10,
        },
        'call',
      );
    };
    return ({ answer, failure }) => {
      const outcome = callOutcome(answer, failure);
      const isFailed = answer === undefined && outcome !== 'cancelled';
      finish(outcome, isFailed ? GatewayError.from(failure).reason : undefined, answer?.bytes.length ?? 0);
    };
  };
}

function recordOf(context: CallContext, digest: string | undefined): Readonly<Record<string, unknown>> {
  const { caller, client, frame, upstream } = context;
  return {
    tenant: caller.tenant,
    principal: caller.principal,
    keyId: caller.keyId,
    actors: caller.envelope?.actors,
    runId: caller.envelope?.runId,
    session: client.tag,
    method: frame.method,
    name: context.exposedName,
    server: upstream.name,
    serverName: context.serverName,
    argumentsSha256: digest,
    traceId: context.trace.traceId,
    requestId: context.requestId,
  };
}

/** The digest of the arguments stands beside the log, its keyed hash in it: short arguments could be guessed from a plain digest. */
function toolCallEvent(
  context: CallContext,
  digest: string | undefined,
  result: { outcome: CallOutcome; reason: string | undefined; durationMs: number; resultBytes: number },
): AuditEvent {
  const { caller, upstream } = context;
  return {
    tenant: caller.tenant,
    category: 'tool_call',
    action: 'tool.call',
    outcome: result.outcome === 'ok' ? 'succeeded' : 'failed',
    reason: result.outcome === 'ok' ? undefined : (result.reason ?? result.outcome),
    principal: caller.principal,
    keyId: caller.keyId,
    actors: caller.envelope?.actors,
    runId: caller.envelope?.runId,
    taskId: caller.envelope?.taskId,
    target: { type: 'tool', id: context.exposedName ?? '' },
    traceId: context.trace.traceId,
    requestId: context.requestId,
    details: {
      duration_ms: Math.round(result.durationMs),
      result_bytes: result.resultBytes,
      server: upstream.name,
      server_tool: context.serverName,
    },
    ...(digest !== undefined && { sensitive: { arguments_sha256: digest } }),
  };
}

function argumentsDigest({ frame }: CallContext): string | undefined {
  const span = frame.params?.members?.get('arguments');
  return span && hash('sha256', frame.bytes.subarray(span.start, span.end));
}
