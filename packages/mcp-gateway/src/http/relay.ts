import type { Readable } from 'node:stream';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin } from '@strata/shared/http/dialer.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { sendBytes } from '@strata/shared/http/send-whole.ts';
import type { SessionOwner } from '../domain/session-record.ts';
import type { Replicas } from '../pipeline/replicas.ts';
import { ownerLost } from '../pipeline/session-streams.ts';
import { parseFrames } from '../wire/frame.ts';
import { copySpan, renderError } from '../wire/render.ts';
import { relayHeader } from './relay-headers.ts';
import { RelayedStream } from './relayed-stream.ts';
import { sendJson } from './send-json.ts';

export interface RelayDeps {
  readonly replicas: Replicas;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly routeOf: (request: DirectRequest) => string;
}

export interface Relay {
  /** Answers a request for a session of another replica. `false`: it is to be answered here. */
  handle(request: DirectRequest): Promise<boolean>;
  /** Passes a POST on to the replica that has announced the stream `id`. `false` when there is none. */
  toStream(request: DirectRequest, stream: { id: string; route: string }): Promise<boolean>;
  announce: Replicas['announce'];
  /** Ends every relayed stream: its client comes back, to a replica that stays. */
  endAll(): void;
}

const maxHops = 3;
const untimed = { headersMs: 0, bodyMs: 0 } as const;
/** Where nothing was sent yet, another replica can be asked. */
const neverSent = new Set(['upstream_refused', 'upstream_connect_timeout']);
const passedBack = [
  'content-type',
  'mcp-session-id',
  'allow',
  'retry-after',
  'ratelimit',
  'ratelimit-policy',
  'www-authenticate',
];

/**
 * Passes requests on to the replica that owns their session. The client's own credential goes along, so the owner decides for itself who
 * asks. A request that was sent and not answered is answered with an error and never sent again: the owner may have done it.
 */
export function createRelay(deps: RelayDeps): Relay {
  const origins = new Map<string, Origin>();
  const open = new Set<RelayedStream>();

  const originOf = (url: string): Origin => {
    const origin = origins.get(url) ?? { name: 'replica', url: new URL(url), allowPrivate: true };
    if (origins.size > 1000) origins.clear(); // replicas come and go, at most a few at a time
    origins.set(url, origin);
    return origin;
  };

  const send = async (request: DirectRequest, owner: SessionOwner, lastEventId?: string) => {
    const controller = new AbortController();
    const abort = () => controller.abort(request.gone.reason);
    request.gone.addEventListener('abort', abort, { once: true });
    const unwatch = deps.replicas.watch(owner.instance, () => controller.abort(ownerLost()));
    const release = () => {
      unwatch();
      request.gone.removeEventListener('abort', abort);
    };
    try {
      const isResume = lastEventId !== undefined;
      const response = await deps.dialer.request(originOf(owner.url), {
        method: isResume ? 'GET' : request.method,
        path: request.url,
        headers: headersFor(request, lastEventId),
        body: isResume || request.method !== 'POST' ? null : request.body,
        signal: controller.signal,
        timeouts: untimed,
      });
      response.body.once('close', release);
      return response;
    } catch (error) {
      release();
      throw error;
    }
  };

  const answer = async (request: DirectRequest, response: DialResponse) => {
    if (headerOf(response, 'content-type')?.startsWith('text/event-stream')) {
      const stream = new RelayedStream(request, {
        id: sessionIdOf(request),
        route: deps.routeOf(request),
        replicas: deps.replicas,
        resume: (owner, lastEventId) => send(request, owner, lastEventId),
      });
      open.add(stream);
      await stream.run(response).finally(() => open.delete(stream));
      return;
    }
    const body = await readAll(response.body);
    const headers: Record<string, string> = { ...request.replyHeaders };
    for (const name of passedBack) {
      const value = headerOf(response, name);
      if (value !== undefined) headers[name] = value;
    }
    sendBytes(request.response, response.status, { headers, body });
  };

  return {
    async handle(request) {
      const id = sessionIdOf(request);
      if (id === '' || isInitialize(request)) return false;
      let gone: SessionOwner | undefined;
      for (let hop = 0; hop < maxHops; hop++) {
        const place = await deps.replicas.locate(id, request.caller, deps.routeOf(request), gone);
        if (place.type !== 'elsewhere' || request.headers[relayHeader] !== undefined) return false;
        try {
          const response = await send(request, place.owner);
          await answer(request, response);
          return true;
        } catch (error) {
          if (request.gone.aborted) return true;
          const { reason } = GatewayError.from(error);
          if (neverSent.has(reason)) gone = place.owner;
          else if (request.method === 'POST') return answerLost(request);
        }
      }
      throw ownerLost();
    },
    async toStream(request, { id, route }) {
      if (request.headers[relayHeader] !== undefined) return false;
      const owner = await deps.replicas.ownerOf(id, request.caller, route);
      if (!owner) return false;
      try {
        await answer(request, await send(request, owner));
        return true;
      } catch (error) {
        if (request.gone.aborted) return true;
        if (neverSent.has(GatewayError.from(error).reason)) return false; // its stream is gone with it
        throw ownerLost();
      }
    },
    announce: (id, binding) => deps.replicas.announce(id, binding),
    endAll() {
      for (const stream of open) stream.end();
    },
  };
}

/** Every request in the body is answered once, under its own id. */
function answerLost(request: DirectRequest): true {
  const { isBatch, frames } = parseFrames(request.body);
  const answers = frames.flatMap(frame =>
    frame.kind === 'request' ? [renderError(copySpan(frame.bytes, frame.id), ownerLost(), request.id)] : [],
  );
  const [first] = answers;
  if (!first) throw ownerLost();
  const body = isBatch ? Buffer.from(`[${answers.map(String).join(',')}]`) : first;
  sendJson(request, 200, body);
  return true;
}

function isInitialize(request: DirectRequest): boolean {
  const { body } = request;
  if (!body.includes('"initialize"')) return false;
  const [frame] = parseFrames(body).frames;
  return frame?.kind === 'request' && frame.method === 'initialize';
}

function sessionIdOf(request: DirectRequest): string {
  const id = request.headers['mcp-session-id'];
  return typeof id === 'string' ? id : '';
}

/** All of the client's headers; those of its connection are left out by the dialer. */
function headersFor(request: DirectRequest, lastEventId: string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === 'string') headers[name] = value;
  }
  headers[relayHeader] = '1';
  if (lastEventId === undefined) return headers;
  delete headers['content-type'];
  return { ...headers, accept: 'text/event-stream', 'last-event-id': lastEventId };
}

function headerOf(response: DialResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The owner is a gateway like this one and keeps to its own limits on what servers answer. */
async function readAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
