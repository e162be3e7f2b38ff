import type { IncomingMessage } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import { traceContextOf } from '@strata/shared/http/trace-context.ts';
import type { UpgradeRequest } from '@strata/shared/http/upgrades.ts';
import { WebSocketServer } from 'ws';
import type { Attempt, Brought, Call } from '../domain/call.ts';
import { findRoute, type RouteTable, targetsReached } from '../domain/route.ts';
import { RealtimeRelay } from '../pipeline/realtime-relay.ts';
import { RealtimeSession } from '../pipeline/realtime-session.ts';
import {
  isTranscription,
  nameTranscriber,
  transcriptionIntent,
} from '../protocols/openai-realtime/client-events.ts';
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
  /** Through the stages of requests and attempts to an open session. */
  open(call: Call): Promise<Brought>;
  routes(): RouteTable;
  /** What sessions of `intent=transcription` are opened at that name no model. */
  transcriptionModel(): string | undefined;
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
  const opened = await deps.open(openCall(deps, upgrade));
  if (opened.type !== 'session' || !(opened.session instanceof RealtimeSession)) {
    throw new GatewayError('upstream_failed', 'The provider did not open a session.', {
      reason: 'upstream_refused_request',
    });
  }
  accept(deps, upgrade, { attempt: opened.attempt, session: opened.session });
}

function openCall(deps: RealtimeEndpointDeps, { id, url, caller, request, signal }: UpgradeRequest): Call {
  const body = Buffer.from(url.search);
  const model = requireModel(modelOf(deps, url), 'The query');
  const route = findRoute(deps.routes(), model, caller.scopes.models);
  const { name } = openaiRealtime;
  return {
    requestId: id,
    caller,
    protocol: openaiRealtime,
    request: {
      body,
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

function modelOf({ transcriptionModel }: RealtimeEndpointDeps, { searchParams }: URL): string | undefined {
  const named = searchParams.get('model') ?? searchParams.get('deployment'); // as Azure calls it
  if (named !== null) return named;
  return searchParams.get('intent') === transcriptionIntent ? transcriptionModel() : undefined;
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function accept(
  deps: RealtimeEndpointDeps,
  { request, socket, head, signal }: UpgradeRequest,
  { attempt, session }: { readonly attempt: Attempt; readonly session: RealtimeSession },
): void {
  const { upstream, money, proof } = session;
  const withheld = proof.withheldInAnswers;
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
    session.end(isJoined ? undefined : clientLeft());
  });
  server.handleUpgrade(request, socket, head, client => {
    isJoined = true;
    const reader = new RealtimeReader();
    const names = { alias: attempt.call.route.alias, model: attempt.target.model };
    const isTranscribing = isTranscription(attempt.call.request);
    const relay: RealtimeRelay = new RealtimeRelay({
      client,
      upstream,
      clock: deps.clock,
      signal,
      limits: { ...limits, maxWaitingBytes },
      renderError: error => errorEvent(error, attempt.call.requestId),
      fromClient: data => (isTranscribing ? nameTranscriber(data, names) : data),
      fromUpstream: data => withheld.inBytes(data),
      onEnd: error => session.end(error),
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

function clientLeft(): GatewayError {
  return new GatewayError('cancelled', 'The client left before its session was open.', {
    reason: 'client_gone',
  });
}
