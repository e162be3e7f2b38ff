import { type ErrorRenderer, errorHeaders } from '@strata/shared/errors/error-renderer.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import type { EventLog } from '../domain/event-log.ts';
import { type Exchange, failCall } from '../domain/exchange.ts';
import type { BadFrame, Frame, RequestFrame } from '../domain/frame.ts';
import { allowsBatches, modernVersion } from '../domain/protocol-versions.ts';
import { answerRequest } from '../pipeline/answer-request.ts';
import { takeFromClient } from '../pipeline/client-notifications.ts';
import { describeGateway, readClientHello } from '../pipeline/initialize.ts';
import type { LiveSession } from '../pipeline/live-session.ts';
import type { SessionDirectory } from '../pipeline/session-directory.ts';
import { parseFrames, rawText } from '../wire/frame.ts';
import { copySpan, renderBadFrame, renderError, renderResult } from '../wire/render.ts';
import { readAccept } from './accept.ts';
import { eraOfRequest, versionNotAllowed } from './era.ts';
import { isEndedHere, streamLog } from './event-sink.ts';
import { type ModernEndpointDeps, postModern, renderProblem } from './modern-endpoint.ts';
import type { OriginCheck } from './origin-check.ts';
import type { Relay } from './relay.ts';
import { sendEmpty, sendJson } from './send-json.ts';
import { findSession, getStream, header, notAcceptable, streamHeaders } from './session-stream.ts';

export interface McpEndpointDeps extends ModernEndpointDeps, OriginCheck {
  /** What a request is answered with that gets no further. */
  readonly errors: ErrorRenderer;
  readonly sessions: SessionDirectory;
  /** The way to other replicas, where there are any. */
  readonly relay: Relay | undefined;
  /** A message of a client that concerns nothing that is going on. */
  readonly onIgnored: () => void;
}

const json = 'application/json; charset=utf-8';

/** The Streamable HTTP endpoint of the sessions era (2025-03-26 to 2025-11-25, "Transports"). */
export function addMcpEndpoint(
  server: Pick<GatewayServer, 'addDirect'>,
  path: string,
  deps: McpEndpointDeps,
): void {
  for (const url of [path, `${path}/`]) {
    server.addDirect({
      methods: ['POST', 'GET', 'DELETE'],
      url,
      errors: deps.errors,
      isInvitedPage: deps.isInvitedPage,
      handle: request => answer(request, deps),
    });
  }
}

function answer(request: DirectRequest, deps: McpEndpointDeps): Promise<void> {
  const route = routeOf(request);
  deps.checkOrigin(header(request, 'origin'));
  request.narrow(deps.callerAt(request.caller, route));
  if (deps.relay === undefined) return answerHere(request, route, deps);
  // A session may be another replica's; what belongs to it is answered there.
  const elsewhere = deps.relay.handle(request);
  return elsewhere.then(isAnswered => (isAnswered ? undefined : answerHere(request, route, deps)));
}

function answerHere(request: DirectRequest, route: string, deps: McpEndpointDeps): Promise<void> {
  if (request.method === 'POST') return post(request, route, deps);
  if (isModern(request)) return refuseMethod(request);
  return request.method === 'GET' ? getStream(request, route, deps) : end(request, route, deps);
}

/** The newest revision knows POST alone, and its clients learn from 405 that there is no other way (2026-07-28, "Transports"). */
function isModern(request: DirectRequest): boolean {
  const hasSession = header(request, 'mcp-session-id') !== undefined;
  return header(request, 'mcp-protocol-version') === modernVersion && !hasSession;
}

async function refuseMethod(request: DirectRequest): Promise<void> {
  const error = new GatewayError('method_not_allowed', 'This protocol version has no requests but POST.', {
    reason: 'method_not_allowed',
  });
  sendJson(request, 405, renderError(undefined, error, request.id), { allow: 'POST' });
}

/** The path that was called, by one name: what a session is bound to besides its principal. */
export function routeOf(request: DirectRequest): string {
  const { url } = request;
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

async function post(request: DirectRequest, route: string, deps: McpEndpointDeps): Promise<void> {
  const { isBatch, frames } = parseFrames(request.body);
  const [first] = frames;
  const single = isBatch || first === undefined || first.kind === 'bad' ? undefined : first;
  const era = eraOfRequest({
    versionHeader: header(request, 'mcp-protocol-version'),
    methodHeader: header(request, 'mcp-method'),
    sessionHeader: header(request, 'mcp-session-id'),
    frame: single,
  });
  if (typeof era === 'object') return sendJson(request, 400, renderProblem(single, era));
  if (!isBatch && first?.kind === 'bad') return sendJson(request, 400, renderBadFrame(first, request.id));
  const accepted = readAccept(header(request, 'accept'));
  try {
    if (!accepted.json && !accepted.stream) throw notAcceptable('application/json and text/event-stream');
    if (era === 'modern') {
      if (!single) throw versionNotAllowed();
      return await postModern(request, { frame: single, route, accepted }, deps);
    }
    if (single?.kind === 'request' && single.method === 'initialize') {
      return await initialize(request, single, route, deps);
    }
    const session = findSession(request, route, deps);
    if (isBatch && !allowsBatches(session.hello.protocolVersion)) throw versionNotAllowed();
    return await take(request, { session, frames, isBatch, accepted }, deps);
  } catch (error) {
    const known = GatewayError.from(error);
    if (known.kind === 'internal') throw known; // the server logs it
    const status = known.reason === 'not_acceptable' ? 406 : known.status;
    sendJson(request, status, renderError(rawIdOf(first), known, request.id), errorHeaders(known, json));
  }
}

async function initialize(
  request: DirectRequest,
  frame: RequestFrame,
  route: string,
  deps: McpEndpointDeps,
): Promise<void> {
  const { caller } = request;
  const hello = readClientHello(frame);
  const signal = AbortSignal.any([request.gone, AbortSignal.timeout(deps.settings().listTimeoutMs)]);
  const { facts } = deps;
  const directory = deps.directoryOf(route);
  const result = await describeGateway({ hello, caller, directory, facts, signal });
  const session = await deps.sessions.create(caller, route, hello);
  sendJson(request, 200, renderResult(copySpan(frame.bytes, frame.id), result), {
    'mcp-session-id': session.id,
  });
}

interface Incoming {
  readonly session: LiveSession;
  readonly frames: readonly (Frame | BadFrame)[];
  readonly isBatch: boolean;
  readonly accepted: { readonly json: boolean; readonly stream: boolean };
}

function take(
  request: DirectRequest,
  { session, frames, isBatch, accepted }: Incoming,
  deps: McpEndpointDeps,
): Promise<void> {
  const asked = frames.filter(isRequest);
  const bad = asked.length === frames.length ? noneBad : frames.filter(isBad);
  if (session.calls.size + asked.length > deps.settings().sessions.maxCalls) throw tooManyCalls();
  for (const frame of frames) {
    if (isRequest(frame) || isBad(frame)) continue;
    if (!takeFromClient(session, frame)) deps.onIgnored();
  }
  if (asked.length + bad.length === 0) {
    sendEmpty(request, 202);
    return Promise.resolve();
  }
  const exchange = session.streams.openExchange({
    requests: asked.length + bad.length,
    ids: () => [
      ...asked.map(frame => rawText(frame.bytes, frame.id)),
      ...bad.map(frame => frame.id?.toString() ?? 'null'),
    ],
    isBatch,
    mayStream: accepted.stream,
  });
  if (!accepted.json || deps.settings().streams.streamAfterMs === 0) exchange.stream();
  for (const frame of bad) exchange.settle(renderBadFrame(frame, request.id));
  const { caller, id: requestId, traceContext: trace } = request;
  const settle = (answer: Buffer | undefined) => exchange.settle(answer);
  for (const frame of asked)
    void answerRequest({ session, caller, frame, exchange, requestId, trace, settle }, deps);
  return deliver(request, session, exchange, deps);
}

const noneBad: readonly BadFrame[] = [];

function isRequest(frame: Frame | BadFrame): frame is RequestFrame {
  return frame.kind === 'request';
}

function isBad(frame: Frame | BadFrame): frame is BadFrame {
  return frame.kind === 'bad';
}

async function deliver(
  request: DirectRequest,
  session: LiveSession,
  exchange: Exchange<EventLog>,
  deps: McpEndpointDeps,
): Promise<void> {
  const { streamAfterMs } = deps.settings().streams;
  const timer = deps.clock.schedule(streamAfterMs, () => {
    exchange.stream();
    request.gone.addEventListener('abort', () => failWhenEndedHere(request.gone.reason, session, exchange), {
      once: true,
    });
  });
  const decided = await exchange.reply;
  timer.cancel();
  switch (decided.type) {
    case 'json':
      return sendJson(request, 200, decided.body, exchange.headers);
    case 'nothing':
      return sendEmpty(request, 202);
    case 'stream':
      await streamLog(request, decided.stream, {
        afterSeq: 0,
        isResumed: false,
        endsByItself: true,
        headers: { ...streamHeaders(request, session, decided.stream, 0), ...exchange.headers },
      });
  }
}

/** The gateway stops, or the key or run was stopped: what still runs is answered. A client that merely left changes nothing. */
function failWhenEndedHere(reason: unknown, session: LiveSession, exchange: Exchange<EventLog>): void {
  if (!isEndedHere(reason)) return;
  for (const call of session.calls) if (call.exchange === exchange) failCall(call, reason);
}

async function end(request: DirectRequest, route: string, deps: McpEndpointDeps): Promise<void> {
  await deps.sessions.end(findSession(request, route, deps), 'client');
  sendEmpty(request, 204);
}

function rawIdOf(frame: Frame | BadFrame | undefined): Buffer | undefined {
  if (frame?.kind === 'request') return copySpan(frame.bytes, frame.id);
  return frame?.kind === 'bad' ? frame.id : undefined;
}

function tooManyCalls(): GatewayError {
  return new GatewayError('rate_limited', 'Too many requests of this session are running.', {
    reason: 'too_many_calls',
    retryAfterMs: 1000,
  });
}
