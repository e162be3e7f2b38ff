import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DirectRequest } from './direct-request.ts';
import { sseHeaders } from './sse.ts';
import { createSseWriter, type SseWriter } from './sse-writer.ts';

export interface EventStream extends SseWriter {
  /** Fires when the client leaves or the drain ends; see `request.gone`. */
  readonly signal: AbortSignal;
}

const heartbeatEveryMs = 15_000;

/** Takes the response of Fastify over and answers with server-sent events. The reply's headers (request id and so on) are kept. */
export function openEventStream(request: FastifyRequest, reply: FastifyReply): EventStream {
  reply.hijack();
  const headers = reply.getHeaders() as OutgoingHttpHeaders; // Fastify's type only adds names
  return startEventStream(reply.raw, request.gone, headers);
}

/** The same on a direct route. */
export function openDirectEventStream(
  { response, gone, replyHeaders }: DirectRequest,
  headers: Readonly<Record<string, string>> = {},
): EventStream {
  return startEventStream(response, gone, { ...replyHeaders, ...headers });
}

/** Comments are sent while nothing else is, so that proxies keep the connection and a half-open client is noticed. */
function startEventStream(
  response: ServerResponse,
  signal: AbortSignal,
  headers: OutgoingHttpHeaders,
): EventStream {
  response.writeHead(200, { ...headers, ...sseHeaders });
  response.flushHeaders();
  const writer = createSseWriter(response, { signal });
  const heartbeat = setInterval(() => {
    writer.comment('keep-alive').catch(() => {}); // a client that is gone is reported by `signal`
  }, heartbeatEveryMs);
  heartbeat.unref();
  response.once('close', () => clearInterval(heartbeat));
  return { ...writer, signal };
}
