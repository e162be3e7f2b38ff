import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { type EventLog, parseEventId, unknownEvent } from '../domain/event-log.ts';
import type { LiveSession } from '../pipeline/live-session.ts';
import type { SessionDirectory } from '../pipeline/session-directory.ts';
import { renderError } from '../wire/render.ts';
import { readAccept } from './accept.ts';
import { streamLog } from './event-sink.ts';
import { type FollowDeps, followKey } from './follow-key.ts';
import { relayHeader, streamHeader } from './relay-headers.ts';
import { sendJson } from './send-json.ts';

interface Deps extends FollowDeps {
  readonly sessions: SessionDirectory;
}

/** A GET: the session's own stream, or whichever the client lost. */
export async function getStream(request: DirectRequest, route: string, deps: Deps): Promise<void> {
  if (!readAccept(header(request, 'accept')).stream) {
    return sendJson(request, 406, renderError(undefined, notAcceptable('text/event-stream'), request.id));
  }
  const session = findSession(request, route, deps);
  const lastEventId = header(request, 'last-event-id');
  if (lastEventId === undefined || lastEventId === '') {
    const log = session.standalone;
    read(request, session, deps);
    await streamLog(request, log, {
      afterSeq: log.deliveredSeq,
      isResumed: false,
      endsByItself: false,
      headers: streamHeaders(request, session, log, log.deliveredSeq),
    });
    return;
  }
  const position = parseEventId(lastEventId);
  const log = position && (await session.streams.find(position.stream));
  if (!position || !log) throw unknownEvent();
  if (log === session.standalone) read(request, session, deps);
  await streamLog(request, log, {
    afterSeq: position.seq,
    isResumed: true,
    endsByItself: log !== session.standalone,
    headers: streamHeaders(request, session, log, position.seq),
  });
}

/** From now on this key decides what the session's own stream tells. */
function read(request: DirectRequest, { reader, binding }: LiveSession, deps: Deps): void {
  reader.isNow(request.caller);
  followKey(request, { route: binding.route, onChanged: now => reader.spoke(now) }, deps);
}

/** A replica that passes the stream on is told which it is, so that it can go on with it if this one dies. */
export function streamHeaders(
  request: DirectRequest,
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

/** @throws GatewayError invalid_request (`session_id_missing`), not_found (`unknown_session`) */
export function findSession(
  request: DirectRequest,
  route: string,
  deps: Pick<Deps, 'sessions'>,
): LiveSession {
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

export function header(request: DirectRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

export function notAcceptable(types: string): GatewayError {
  return new GatewayError('invalid_request', `The client must accept ${types}.`, {
    reason: 'not_acceptable',
    param: 'accept',
  });
}
