import { errorHeaders } from '@strata/shared/errors/error-renderer.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { jsonRpcErrors } from '@strata/shared/errors/json-rpc.ts';
import { sendWhole } from '@strata/shared/http/send-whole.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest, preValidationHookHandler } from 'fastify';
import { type EventLog, parseEventId, unknownEvent } from '../domain/event-log.ts';
import { type Exchange, failCall } from '../domain/exchange.ts';
import type { BadFrame, Frame, RequestFrame } from '../domain/frame.ts';
import { allowsBatches } from '../domain/protocol-versions.ts';
import { answerRequest } from '../pipeline/answer-request.ts';
import { takeFromClient } from '../pipeline/client-notifications.ts';
import { describeGateway, readClientHello } from '../pipeline/initialize.ts';
import type { LiveSession } from '../pipeline/live-session.ts';
import type { SessionDirectory } from '../pipeline/session-directory.ts';
import { parseFrames } from '../wire/frame.ts';
import { copySpan, renderBadFrame, renderError, renderResult } from '../wire/render.ts';
import { readAccept } from './accept.ts';
import { eraOfRequest, versionNotAllowed } from './era.ts';
import { isEndedHere, streamLog } from './event-sink.ts';
import { type ModernEndpointDeps, postModern, renderProblem } from './modern-endpoint.ts';
import type { Relay } from './relay.ts';
import { relayHeader, streamHeader } from './relay-headers.ts';

export interface McpEndpointDeps extends ModernEndpointDeps {
  readonly sessions: SessionDirectory;
  /** The way to other replicas, where there are any. */
  readonly relay: Relay | undefined;
  /** What is left of a caller's scopes under a route. @throws GatewayError not_found (`unknown_namespace`) */
  readonly callerAt: (caller: Caller, route: string) => Caller;
  readonly checkOrigin: (origin: string | undefined) => void;
  /** A message of a client that concerns nothing that is going on. */
  readonly onIgnored: () => void;
}

const json = 'application/json; charset=utf-8';

/** The Streamable HTTP endpoint of the sessions era (2025-03-26 to 2025-11-25, "Transports"). */
export function addMcpEndpoint(app: FastifyInstance, path: string, deps: McpEndpointDeps): void {
  const config = { access: 'caller', errors: jsonRpcErrors } as const;
  const { relay } = deps;
  const preValidation: preValidationHookHandler = (request, _reply, done) => {
    try {
      deps.checkOrigin(header(request, 'origin'));
      request.caller = deps.callerAt(request.caller, routeOf(request));
      done();
    } catch (error) {
      done(GatewayError.from(error));
    }
  };
  // A session may be another replica's; what belongs to it is answered there.
  const preHandler =
    relay &&
    (async (request: FastifyRequest, reply: FastifyReply) =>
      (await relay.handle(request, reply)) ? reply : undefined);
  const options = { config, preValidation, ...(preHandler && { preHandler }) };
  app.post(path, options, (request, reply) => post(request, reply, routeOf(request), deps));
  app.get(path, options, (request, reply) => get(request, reply, routeOf(request), deps));
  app.delete(path, options, (request, reply) => end(request, reply, routeOf(request), deps));
}

/** The path that was called: what a session is bound to besides its principal. */
export function routeOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

async function post(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  deps: McpEndpointDeps,
): Promise<FastifyReply | undefined> {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const { isBatch, frames } = parseFrames(body);
  const [first] = frames;
  const single = isBatch || first === undefined || first.kind === 'bad' ? undefined : first;
  const era = eraOfRequest({
    versionHeader: header(request, 'mcp-protocol-version'),
    methodHeader: header(request, 'mcp-method'),
    sessionHeader: header(request, 'mcp-session-id'),
    frame: single,
  });
  if (typeof era === 'object') return send(reply, 400, renderProblem(single, era));
  if (!isBatch && first?.kind === 'bad') return send(reply, 400, renderBadFrame(first, request.id));
  const accepted = readAccept(header(request, 'accept'));
  try {
    if (!accepted.json && !accepted.stream) throw notAcceptable('application/json and text/event-stream');
    if (era === 'modern') {
      if (!single) throw versionNotAllowed();
      return await postModern(request, reply, { frame: single, route, accepted }, deps);
    }
    if (single?.kind === 'request' && single.method === 'initialize') {
      return await initialize(request, reply, single, route, deps);
    }
    const session = findSession(request, route, deps);
    if (isBatch && !allowsBatches(session.hello.protocolVersion)) throw versionNotAllowed();
    return await take(request, reply, { session, frames, isBatch, accepted }, deps);
  } catch (error) {
    const known = GatewayError.from(error);
    if (known.kind === 'internal') throw known; // the server logs it
    const status = known.reason === 'not_acceptable' ? 406 : known.status;
    void reply.headers(errorHeaders(known, json));
    return send(reply, status, renderError(rawIdOf(first), known, request.id));
  }
}

async function initialize(
  request: FastifyRequest,
  reply: FastifyReply,
  frame: RequestFrame,
  route: string,
  deps: McpEndpointDeps,
): Promise<FastifyReply> {
  const { caller } = request;
  const hello = readClientHello(frame);
  const signal = AbortSignal.any([request.gone, AbortSignal.timeout(deps.settings().listTimeoutMs)]);
  const { facts } = deps;
  const directory = deps.directoryOf(route);
  const result = await describeGateway({ hello, caller, directory, facts, signal });
  const session = await deps.sessions.create(caller, route, hello);
  void reply.header('mcp-session-id', session.id);
  return send(reply, 200, renderResult(copySpan(frame.bytes, frame.id), result));
}

interface Incoming {
  readonly session: LiveSession;
  readonly frames: readonly (Frame | BadFrame)[];
  readonly isBatch: boolean;
  readonly accepted: { readonly json: boolean; readonly stream: boolean };
}

async function take(
  request: FastifyRequest,
  reply: FastifyReply,
  { session, frames, isBatch, accepted }: Incoming,
  deps: McpEndpointDeps,
): Promise<FastifyReply | undefined> {
  const asked = frames.filter(frame => frame.kind === 'request');
  const bad = frames.filter(frame => frame.kind === 'bad');
  if (session.calls.size + asked.length > deps.settings().sessions.maxCalls) throw tooManyCalls();
  for (const frame of frames) {
    if (frame.kind !== 'notification' && frame.kind !== 'response') continue;
    if (!takeFromClient(session, frame)) deps.onIgnored();
  }
  if (asked.length + bad.length === 0) return reply.code(202).send();
  const exchange = session.streams.openExchange({
    ids: [
      ...asked.map(frame => copySpan(frame.bytes, frame.id).toString()),
      ...bad.map(frame => frame.id?.toString() ?? 'null'),
    ],
    isBatch,
    mayStream: accepted.stream,
  });
  if (!accepted.json || deps.settings().streams.streamAfterMs === 0) exchange.stream();
  for (const frame of bad) exchange.settle(renderBadFrame(frame, request.id));
  const { caller, id: requestId, traceContext: trace } = request;
  for (const frame of asked) {
    void answerRequest({ session, caller, frame, exchange, requestId, trace }, deps).then(answer =>
      exchange.settle(answer),
    );
  }
  return deliver(request, reply, session, exchange, deps);
}

async function deliver(
  request: FastifyRequest,
  reply: FastifyReply,
  session: LiveSession,
  exchange: Exchange<EventLog>,
  deps: McpEndpointDeps,
): Promise<FastifyReply | undefined> {
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
      return send(reply.headers(exchange.headers), 200, decided.body);
    case 'nothing':
      return reply.code(202).send();
    case 'stream':
      await streamLog(request, reply, decided.stream, {
        afterSeq: 0,
        isResumed: false,
        endsByItself: true,
        headers: { ...streamHeaders(request, session, decided.stream, 0), ...exchange.headers },
      });
      return undefined;
  }
}

/** The gateway stops, or the key or run was stopped: what still runs is answered. A client that merely left changes nothing. */
function failWhenEndedHere(reason: unknown, session: LiveSession, exchange: Exchange<EventLog>): void {
  if (!isEndedHere(reason)) return;
  for (const call of session.calls) if (call.exchange === exchange) failCall(call, reason);
}

/** The session's own stream, or whichever the client lost. */
async function get(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  deps: McpEndpointDeps,
): Promise<FastifyReply | undefined> {
  if (!readAccept(header(request, 'accept')).stream) {
    return send(reply, 406, renderError(undefined, notAcceptable('text/event-stream'), request.id));
  }
  const session = findSession(request, route, deps);
  const lastEventId = header(request, 'last-event-id');
  if (lastEventId === undefined || lastEventId === '') {
    const log = session.standalone;
    await streamLog(request, reply, log, {
      afterSeq: log.deliveredSeq,
      isResumed: false,
      endsByItself: false,
      headers: streamHeaders(request, session, log, log.deliveredSeq),
    });
    return undefined;
  }
  const position = parseEventId(lastEventId);
  const log = position && (await session.streams.find(position.stream));
  if (!position || !log) throw unknownEvent();
  await streamLog(request, reply, log, {
    afterSeq: position.seq,
    isResumed: true,
    endsByItself: log !== session.standalone,
    headers: streamHeaders(request, session, log, position.seq),
  });
  return undefined;
}

/** A replica that passes the stream on is told which it is, so that it can go on with it if this one dies. */
function streamHeaders(
  request: FastifyRequest,
  session: LiveSession,
  log: EventLog,
  afterSeq: number,
): Record<string, string> {
  const isRelayed = request.headers[relayHeader] !== undefined;
  return {
    'mcp-session-id': session.id,
    ...(isRelayed && { [streamHeader]: `${log.id}.${afterSeq}` }),
  };
}

async function end(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  deps: McpEndpointDeps,
): Promise<FastifyReply> {
  await deps.sessions.end(findSession(request, route, deps), 'client');
  return reply.code(204).send();
}

function findSession(request: FastifyRequest, route: string, deps: McpEndpointDeps): LiveSession {
  const id = header(request, 'mcp-session-id');
  if (id !== undefined && id !== '') return deps.sessions.find(id, request.caller, route);
  throw new GatewayError(
    'invalid_request',
    'The header `Mcp-Session-Id` is missing. Start with `initialize`.',
    {
      reason: 'session_id_missing',
      param: 'mcp-session-id',
    },
  );
}

function send(reply: FastifyReply, status: number, body: Buffer): FastifyReply {
  return sendWhole(reply, status, { 'content-type': json }, body);
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function rawIdOf(frame: Frame | BadFrame | undefined): Buffer | undefined {
  if (frame?.kind === 'request') return copySpan(frame.bytes, frame.id);
  return frame?.kind === 'bad' ? frame.id : undefined;
}

function notAcceptable(types: string): GatewayError {
  return new GatewayError('invalid_request', `The client must accept ${types}.`, {
    reason: 'not_acceptable',
    param: 'accept',
  });
}

function tooManyCalls(): GatewayError {
  return new GatewayError('rate_limited', 'Too many requests of this session are running.', {
    reason: 'too_many_calls',
    retryAfterMs: 1000,
  });
}
