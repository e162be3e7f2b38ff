import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { type EventStream, openDirectEventStream } from '@strata/shared/http/event-stream.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import { formatSse } from '@strata/shared/http/sse.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { EventSink } from '../domain/event-log.ts';
import type { BadFrame, Frame, RequestFrame } from '../domain/frame.ts';
import { endpointPath } from '../domain/namespaces.ts';
import { answerRequest } from '../pipeline/answer-request.ts';
import { takeFromClient } from '../pipeline/client-notifications.ts';
import { describeGateway, readClientHello } from '../pipeline/initialize.ts';
import type { LiveSession } from '../pipeline/live-session.ts';
import { parseFrames } from '../wire/frame.ts';
import { copySpan, renderBadFrame, renderError, renderResult } from '../wire/render.ts';
import { followKey } from './follow-key.ts';
import type { McpEndpointDeps } from './mcp-endpoint.ts';
import { sendEmpty } from './send-json.ts';

const idLength = 32; // 160 random bits
const maxPeers = 20_000;

/** A client of the first revision: its stream is open, and once it has initialised it has a session. */
interface Peer {
  /** Who reads the stream. */
  caller: Caller;
  readonly path: string;
  readonly stream: EventStream;
  session: Promise<LiveSession> | undefined;
}

/**
 * HTTP+SSE (2024-11-05, "Transports"): `GET /sse` opens the stream, whose first event names the address for POSTs; every answer comes on
 * the stream. When the stream ends, so does the session: this revision knows no resuming.
 */
export function addSseEndpoint(server: Pick<GatewayServer, 'addDirect'>, deps: McpEndpointDeps): void {
  const peers = new Map<string, Peer>();
  const { errors } = deps;
  const admit = (request: DirectRequest) => {
    deps.checkOrigin(request.headers.origin);
    request.narrow(deps.callerAt(request.caller, routeOf(request)));
  };
  for (const suffix of ['', '/:namespace']) {
    server.addDirect({
      methods: ['GET'],
      url: `/sse${suffix}`,
      errors,
      isInvitedPage: deps.isInvitedPage,
      async handle(request) {
        admit(request);
        await open(request, peers, deps);
      },
    });
    server.addDirect({
      methods: ['POST'],
      url: `/messages${suffix}`,
      errors,
      isInvitedPage: deps.isInvitedPage,
      async handle(request) {
        admit(request);
        await take(request, peers, deps);
      },
    });
  }
}

/** The route of the endpoint of today that offers the same servers. */
function routeOf(request: DirectRequest): string {
  return pathOf(request).replace(/^\/(?:sse|messages)/, endpointPath);
}

function pathOf(request: DirectRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

async function open(request: DirectRequest, peers: Map<string, Peer>, deps: McpEndpointDeps): Promise<void> {
  if (peers.size >= maxPeers) {
    throw new GatewayError('overloaded', 'There are too many sessions.', {
      reason: 'too_many_sessions',
      retryAfterMs: 1000,
    });
  }
  const id = randomText(idLength);
  const path = pathOf(request).replace(/^\/sse/, '/messages');
  const stream = openDirectEventStream(request);
  const peer: Peer = { caller: request.caller, path, stream, session: undefined };
  peers.set(id, peer);
  const abandoned = deps.clock.schedule(deps.settings().sessions.pendingMs, () => {
    if (peer.session === undefined) stream.end().catch(() => {}); // it is gone already
  });
  const onChanged = (now: Caller) => {
    peer.caller = now;
    peer.session?.then(({ reader }) => reader.isNow(now)).catch(() => {}); // who opens it hears of that
  };
  followKey(request, { route: routeOf(request), onChanged }, deps);
  const announced = announce(id, peer, deps);
  request.onClose(() => {
    abandoned.cancel();
    peers.delete(id);
    announced.then(withdraw => withdraw?.()).catch((error: unknown) => deps.onUnforeseen(error, request.id));
    peer.session
      ?.then(session => deps.sessions.end(session, 'client'))
      .catch((error: unknown) => deps.onUnforeseen(error, request.id));
  });
  await announced;
  await stream.write(formatSse({ event: 'endpoint', data: `${path}?session_id=${id}` }));
}

/** Without the store the stream is this replica's alone. */
async function announce(
  id: string,
  { caller, path }: Peer,
  { relay }: McpEndpointDeps,
): Promise<(() => Promise<void>) | undefined> {
  const binding = { tenant: caller.tenant, principal: caller.principal, route: path };
  return relay?.announce(id, binding).catch(() => undefined);
}

async function take(request: DirectRequest, peers: Map<string, Peer>, deps: McpEndpointDeps): Promise<void> {
  const { session_id: id } = request.query;
  const peer = typeof id === 'string' ? peers.get(id) : undefined;
  const isOwn =
    peer?.path === pathOf(request) &&
    peer.caller.tenant === request.caller.tenant &&
    peer.caller.principal === request.caller.principal;
  if (!peer && typeof id === 'string') {
    const isPassedOn = await deps.relay?.toStream(request, { id, route: pathOf(request) });
    if (isPassedOn) return;
  }
  if (!peer || !isOwn) {
    throw new GatewayError('not_found', 'There is no such session. Open a stream with GET first.', {
      reason: 'unknown_session',
    });
  }
  const { frames } = parseFrames(request.body);
  for (const frame of frames) {
    receive(request, peer, frame, deps).catch((error: unknown) => deps.onUnforeseen(error, request.id));
  }
  sendEmpty(request, 202);
}

async function receive(
  request: DirectRequest,
  peer: Peer,
  frame: Frame | BadFrame,
  deps: McpEndpointDeps,
): Promise<void> {
  if (frame.kind === 'bad') return sayTo(peer, renderBadFrame(frame, request.id));
  if (frame.kind === 'request' && frame.method === 'initialize' && !peer.session) {
    return initialize(request, peer, frame, deps);
  }
  const session = await peer.session;
  if (!session) {
    if (frame.kind === 'request') await sayTo(peer, renderError(idOf(frame), notInitialized(), request.id));
    return;
  }
  session.touch();
  if (frame.kind !== 'request') {
    if (!takeFromClient(session, frame)) deps.onIgnored();
    return;
  }
  const say = (message: Buffer, mayBeLost = false) =>
    session.standalone.append(message.toString(), mayBeLost);
  const exchange = {
    canCarryMessages: true,
    emit: (message: Buffer, mayBeLost: boolean) => {
      say(message, mayBeLost);
      return true;
    },
  };
  const { caller, id: requestId, traceContext: trace } = request;
  const settle = (answer: Buffer | undefined) => answer && say(answer);
  await answerRequest({ session, caller, frame, exchange, requestId, trace, settle }, deps);
}

/** Opens the session; from here on its own log is what goes out on the stream, in one order. */
async function initialize(
  request: DirectRequest,
  peer: Peer,
  frame: RequestFrame,
  deps: McpEndpointDeps,
): Promise<void> {
  const { caller } = request;
  const route = routeOf(request);
  try {
    const hello = readClientHello(frame);
    const signal = AbortSignal.timeout(deps.settings().listTimeoutMs);
    const directory = deps.directoryOf(route);
    const result = await describeGateway({ hello, caller, directory, facts: deps.facts, signal });
    peer.session = deps.sessions.create(caller, route, hello);
    const session = await peer.session;
    session.answersOnItsStream = true;
    session.reader.isNow(peer.caller);
    await session.standalone.attach(sinkOf(peer), 0, true);
    session.standalone.append(renderResult(idOf(frame), result).toString());
  } catch (error) {
    await sayTo(peer, renderError(idOf(frame), GatewayError.from(error), request.id));
  }
}

function sinkOf({ stream }: Peer): EventSink {
  return {
    write: text => stream.write(text),
    end: () => void stream.end().catch(() => {}), // the client is gone already, which is what the end is for
  };
}

async function sayTo({ stream }: Peer, message: Buffer): Promise<void> {
  await stream.write(formatSse({ event: 'message', data: message.toString() }));
}

function idOf(frame: RequestFrame): Buffer {
  return copySpan(frame.bytes, frame.id);
}

function notInitialized(): GatewayError {
  return new GatewayError('invalid_request', 'The session begins with `initialize`.', {
    reason: 'session_id_missing',
  });
}
