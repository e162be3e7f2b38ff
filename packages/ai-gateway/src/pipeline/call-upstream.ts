import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse } from '@strata/shared/http/dialer.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import { costOf } from '@strata/shared/money/price.ts';
import type { Answer, Attempt } from '../domain/call.ts';
import { AttemptFailure, classify, failureTable, refusalError } from '../domain/failure.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import { readRetryAfter } from '../domain/retry-after.ts';
import { type HoldLimits, UpstreamStream } from './upstream-stream.ts';

export interface UpstreamLimits {
  readonly hold: HoldLimits;
  readonly maxAnswerBytes: number;
  readonly maxRetryAfterMs: number;
  readonly clientStallMs: number;
  /** From the end of the request to the head of the answer. */
  readonly headersTimeoutMs: number;
  /** Longest silence inside an answer. */
  readonly idleTimeoutMs: number;
}

export interface CallUpstreamDeps {
  readonly dialer: Dialer;
  readonly clock: Clock;
  /** Read once an attempt. */
  limits(): UpstreamLimits;
}

const maxErrorBytes = 1024 * 1024;

/** Makes one attempt: sends the request to its target and judges the answer. @throws AttemptFailure */
export function createCallUpstream(deps: CallUpstreamDeps): (attempt: Attempt) => Promise<Answer> {
  return async attempt => {
    const limits = deps.limits();
    try {
      const response = await dial(deps.dialer, attempt, limits);
      if (response.status < 200 || response.status > 299)
        return await refuse(deps, attempt, response, limits);
      if (isEventStream(response)) return await openStream(deps, attempt, response, limits);
      return await readWhole(attempt, response, limits);
    } catch (error) {
      throw AttemptFailure.from(error);
    }
  };
}

function dial(dialer: Dialer, attempt: Attempt, limits: UpstreamLimits): Promise<DialResponse> {
  const { call, target } = attempt;
  const { protocol, request } = call;
  const access = target.provider.speaks.get(protocol.name);
  if (access === undefined) throw new Error(`${target.id} does not speak ${protocol.name}`);
  return dialer.request(target.provider.origin, {
    method: 'POST',
    path: access.path,
    headers: requestHeaders(attempt),
    body: protocol.writeRequest(request, {
      model: target.model,
      mayAskStreamUsage: access.mayAskStreamUsage,
    }),
    signal: call.signal,
    timeouts: { headersMs: limits.headersTimeoutMs, bodyMs: limits.idleTimeoutMs },
  });
}

function requestHeaders(attempt: Attempt): Record<string, string> {
  const { call, target, trace } = attempt;
  const headers: Record<string, string> = {
    ...target.provider.headers,
    'content-type': 'application/json',
    accept: call.request.isStream ? 'text/event-stream' : 'application/json',
    // A compressed answer could not be passed on as it comes, and could be a bomb (F32).
    'accept-encoding': 'identity',
    traceparent: formatTraceparent(trace),
  };
  for (const name of call.protocol.requestHeaders) {
    const value = call.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

function isEventStream(response: DialResponse): boolean {
  const type = response.headers['content-type'];
  return typeof type === 'string' && type.startsWith('text/event-stream');
}

async function refuse(
  deps: CallUpstreamDeps,
  attempt: Attempt,
  response: DialResponse,
  limits: UpstreamLimits,
): Promise<Answer> {
  const { status, headers } = response;
  const body = await response.readAll(maxErrorBytes);
  const failureClass = classify(status, attempt.call.protocol.readErrorCodes(body));
  const retryAfterMs = readRetryAfter(headers, { nowMs: deps.clock.now(), capMs: limits.maxRetryAfterMs });
  const provider = attempt.target.provider.name;
  const error = refusalError(failureClass, { provider, status, retryAfterMs });
  const isShown = failureTable[failureClass].showUpstreamError;
  const contentType = String(headers['content-type'] ?? 'application/json');
  throw new AttemptFailure(failureClass, error, {
    status,
    ...(isShown && { refusal: { status, contentType, body } }),
  });
}

async function openStream(
  deps: CallUpstreamDeps,
  attempt: Attempt,
  response: DialResponse,
  limits: UpstreamLimits,
): Promise<Answer> {
  const { call } = attempt;
  requireIdentity(response);
  const reader = call.protocol.openReader(call.request);
  const stream = await UpstreamStream.open({
    body: response.body,
    reader,
    clock: deps.clock,
    signal: call.signal,
    hold: limits.hold,
    clientStallMs: limits.clientStallMs,
    renderError: error => call.protocol.renderStreamError(error, { requestId: call.requestId }),
    ...(call.wantsCostComment && { beforeTerminal: () => costComment(attempt, reader.facts) }),
  });
  return { type: 'stream', attempt, stream };
}

async function readWhole(attempt: Attempt, response: DialResponse, limits: UpstreamLimits): Promise<Answer> {
  requireIdentity(response);
  const body = await response.readAll(limits.maxAnswerBytes);
  const read = attempt.call.protocol.readAnswer(body);
  if (read.type === 'answer') {
    return {
      type: 'whole',
      attempt,
      body,
      contentType: String(response.headers['content-type'] ?? 'application/json'),
      facts: read.facts,
      costNanoUsd: attemptCost(attempt, read.facts),
    };
  }
  const provider = attempt.target.provider.name;
  if (read.type === 'malformed') {
    throw new GatewayError('upstream_failed', `The answer of the provider '${provider}' is not valid JSON.`, {
      reason: 'upstream_answer_malformed',
    });
  }
  const failureClass = classify(200, read.codes);
  const error = refusalError(failureClass, { provider, status: 200, retryAfterMs: undefined });
  throw new AttemptFailure(failureClass, error, { status: 200 });
}

/** What the answer's usage costs at the target; undefined when either is not known. */
export function attemptCost(attempt: Attempt, facts: AnswerFacts): bigint | undefined {
  return facts.report && costOf(facts.report.usage, attempt.target.prices);
}

function costComment(attempt: Attempt, facts: AnswerFacts): string | undefined {
  const cost = attemptCost(attempt, facts);
  return cost === undefined ? ': strata unpriced\n\n' : `: strata cost_nano_usd=${cost}\n\n`;
}

/** An upstream that compresses although it was told not to cannot be passed on unchanged (F32, F33). */
function requireIdentity(response: DialResponse): void {
  const encoding = response.headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity') return;
  response.body.destroy();
  throw new GatewayError(
    'upstream_failed',
    'The upstream compressed its answer although it was asked not to.',
    {
      reason: 'upstream_encoding_refused',
    },
  );
}
