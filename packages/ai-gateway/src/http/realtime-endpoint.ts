import type { IncomingMessage } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import { traceContextOf } from '@strata/shared/http/trace-context.ts';
import type { UpgradeRequest } from '@strata/shared/http/upgrades.ts';
import type { PolicyGuard } from '@strata/shared/identity/policy-guard.ts';
import type { Limiter, Pass } from '@strata/shared/limits/limiter.ts';
import type { Budgets } from '@strata/shared/money/budgets.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Attempt, Call } from '../domain/call.ts';
import type { ModelProvider } from '../domain/provider.ts';
import { findRoute, type RouteTable, targetsReached } from '../domain/route.ts';
import type { UsageSink } from '../domain/usage-record.ts';
import { dialRealtime } from '../pipeline/dial-realtime.ts';
import { RealtimeMoney } from '../pipeline/realtime-money.ts';
import { RealtimeRelay } from '../pipeline/realtime-relay.ts';
import { openaiRealtime } from '../protocols/openai-realtime/openai-realtime.ts';
import { RealtimeReader } from '../protocols/openai-realtime/server-events.ts';
import { requireModel } from '../protocols/read-request.ts';

export interface RealtimeLimits {
  readonly maxMessageBytes: number;
  readonly maxSessionMs: number;
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly clientStallMs: number;
}

export interface RealtimeEndpointDeps {
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly limiter: Limiter;
  readonly ledger: UsageLedger;
  readonly budgets: Budgets;
  readonly policy: PolicyGuard;
  readonly usage: UsageSink;
  readonly log: Logger;
  routes(): RouteTable;
  pricesOf(provider: ModelProvider, model: string): PriceList | undefined;
  /** Whether models without a price are refused. */
  blocksUnpriced(): boolean;
  limits(): RealtimeLimits;
}

const path = '/v1/realtime';
const keyPrefix = 'openai-insecure-api-key.';
const realtimeProtocol = 'realtime';
const maxWaitingBytes = 1024 * 1024;

/** `GET /v1/realtime?model=…` over WebSocket: one session with one target, its events passed on as they are, its answers metered. */
export function addRealtimeEndpoint(server: GatewayServer, deps: RealtimeEndpointDeps): void {
  server.addUpgrade({
    path,
    errors: openaiErrors,
    keyOf: keyInProtocols,
    handle: upgrade => openSession(deps, upgrade),
  });
}

function protocolsOf({ headers }: IncomingMessage): string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map(each => each.trim());
}

/** Browsers can set no headers: they say their key in the name of a protocol. */
function keyInProtocols(request: IncomingMessage): string | undefined {
  const found = protocolsOf(request).find(each => each.startsWith(keyPrefix));
  return found?.slice(keyPrefix.length);
}

async function openSession(deps: RealtimeEndpointDeps, upgrade: UpgradeRequest): Promise<void> {
  deps.ledger.requireRoom();
  const call = openCall(deps, upgrade);
  const pass = await admit(deps.limiter, call);
  let opened: Opened;
  try {
    opened = await openFirst(deps, call);
  } catch (error) {
    pass.finish({ input_tokens: 0, output_tokens: 0 });
    throw error;
  }
  accept(deps, upgrade, { ...opened, pass });
}

function openCall(deps: RealtimeEndpointDeps, { id, url, caller, request, signal }: UpgradeRequest): Call {
  const model = requireModel(url.searchParams.get('model') ?? undefined, 'The query');
  const route = findRoute(deps.routes(), model, caller.scopes.models);
  const { name } = openaiRealtime;
  return {
    requestId: id,
    caller,
    protocol: openaiRealtime,
    request: {
      body: Buffer.alloc(0),
      scanned: { members: [], inside: 0 },
      model,
      isStream: true,
      wantsStreamUsage: true,
    },
    headers: request.headers,
    route,
    targets: targetsReached(route, name, provider => provider.speaks.has(name)),
    signal,
    trace: traceContextOf(headerOf(request, 'traceparent')),
    wantsCostComment: false,
    replyHeaders: {},
    startedAtMs: deps.clock.monotonic(),
    upstreamMs: 0,
    failures: [],
  };
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function admit(limiter: Limiter, call: Call): Promise<Pass> | Pass {
  const [target] = call.targets;
  return limiter.admit({
    tenant: call.caller.tenant,
    subjects: [
      ...subjectsOf(call.caller),
      { kind: 'model', id: call.route.alias },
      ...(target === undefined ? [] : [{ kind: 'upstream', id: target.provider.name } as const]),
    ],
    amounts: () => ({ requests: 1, input_tokens: 0, output_tokens: 0 }),
  });
}

interface Opened {
  readonly attempt: Attempt;
  readonly money: RealtimeMoney;
  readonly upstream: WebSocket;
}

/** The first target, with the first of its credentials, that opens a session. Nothing was said to the client before. */
async function openFirst(deps: RealtimeEndpointDeps, call: Call): Promise<Opened> {
  const places = call.targets.flatMap(target =>
    target.provider.credentials.map(credential => ({ target, credential })),
  );
  let last: GatewayError | undefined;
  for (const [index, { target, credential }] of places.entries()) {
    const number = index + 1;
    const attempt: Attempt = {
      call,
      target,
      credential,
      number,
      id: `${call.requestId}.${number}`,
      trace: call.trace,
      losses: [],
    };
    const money = moneyOf(deps, attempt);
    try {
      requireAllowed(deps, attempt);
      await money.reserveNext();
      const upstream = await dialRealtime(dialDeps(deps), attempt, betaOf(call));
      return { attempt, money, upstream };
    } catch (error) {
      money.end();
      last = GatewayError.from(error);
      if (call.signal.aborted || last.kind === 'invalid_request') break;
    }
  }
  throw last ?? new GatewayError('internal', 'No attempt was made', { reason: 'no_attempt_made' });
}

function dialDeps({ dialer, clock, limits }: RealtimeEndpointDeps) {
  const { handshakeTimeoutMs, maxMessageBytes } = limits();
  return { dialer, clock, handshakeTimeoutMs, maxMessageBytes };
}

function betaOf({ headers }: Call): Record<string, string> {
  const beta = headers['openai-beta'];
  return typeof beta === 'string' ? { 'openai-beta': beta } : {};
}

function moneyOf(deps: RealtimeEndpointDeps, attempt: Attempt): RealtimeMoney {
  const { budgets, clock, usage: sink } = deps;
  return new RealtimeMoney(
    { budgets, clock, sink, pricesOf: model => deps.pricesOf(attempt.target.provider, model) },
    attempt,
  );
}

/** @throws GatewayError permission_denied. */
function requireAllowed(deps: RealtimeEndpointDeps, { call, target }: Attempt): void {
  const { provider, model, prices } = target;
  const attributes = { provider: provider.name, model };
  deps.policy.require(call.caller, { kind: 'model', name: call.route.alias, attributes }, call.protocol.name);
  if (prices !== undefined || !deps.blocksUnpriced()) return;
  throw new GatewayError(
    'permission_denied',
    `The model '${call.route.alias}' has no price, and unpriced models are blocked.`,
    {
      reason: 'model_unpriced',
      param: 'model',
    },
  );
}

function accept(
  deps: RealtimeEndpointDeps,
  { request, socket, head, signal }: UpgradeRequest,
  { attempt, money, upstream, pass }: Opened & { readonly pass: Pass },
): void {
  const limits = deps.limits();
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.maxMessageBytes,
    handleProtocols: offered => (offered.has(realtimeProtocol) ? realtimeProtocol : false),
  });
  server.on('headers', headers => {
    const { requestId } = attempt.call;
    headers.push(`x-request-id: ${requestId}`, `x-strata-provider: ${attempt.target.provider.name}`);
    headers.push(`x-strata-model: ${attempt.target.model}`, `x-strata-attempts: ${attempt.number}`);
  });
  let isJoined = false;
  socket.once('close', () => {
    // A client whose handshake is no good was answered by the library, and never came.
    if (!isJoined) upstream.close(1001);
    money.end();
    pass.finish(money.used);
  });
  server.handleUpgrade(request, socket, head, client => {
    isJoined = true;
    const reader = new RealtimeReader();
    const relay: RealtimeRelay = new RealtimeRelay({
      client,
      upstream,
      clock: deps.clock,
      signal,
      limits: { ...limits, maxWaitingBytes },
      renderError: error => errorEvent(error, attempt.call.requestId),
      onEnd: () => money.end(),
      onUpstreamMessage(data) {
        money.passed(data.length);
        const event = reader.read(data);
        if (event !== undefined) money.take(event).catch(error => relay.fail(GatewayError.from(error)));
      },
    });
    upstream.resume();
  });
}

/** The protocol's own event for errors; the session ends after it. */
function errorEvent(error: GatewayError, requestId: string): string {
  const body = JSON.parse(String(openaiErrors(error, { requestId }).body)) as { error: object }; // as it was rendered
  return JSON.stringify({
    type: 'error',
    event_id: `event_${requestId}`,
    error: { ...body.error, event_id: null },
  });
}
