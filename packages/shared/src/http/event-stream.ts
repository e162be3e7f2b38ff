import type { FastifyReply, FastifyRequest } from 'fastify';
import { sseHeaders } from './sse.ts';
import { createSseWriter, type SseWriter } from './sse-writer.ts';

export interface EventStream extends SseWriter {
  /** Fires when the client leaves or the drain ends; see `request.gone`. */
  readonly signal: AbortSignal;
}

const heartbeatEveryMs = 15_000;

/**
 * Takes the response over and answers with server-sent events. Comments are sent while nothing else is, so that proxies keep the
 * connection and a half-open client is noticed. The reply's headers (request id and so on) are kept.
 */
export function openEventStream(
  request: FastifyRequest,
  reply: FastifyReply,
  options: { readonly headers?: Readonly<Record<string, string>> } = {},
): EventStream {
  const { raw } = reply;
  const signal = request.gone;
  reply.hijack();
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    ...sseHeaders,
    ...options.headers,
  });
  raw.flushHeaders();
  const writer = createSseWriter(raw, { signal });
  const heartbeat = setInterval(() => {
    writer.comment('keep-alive').catch(() => {}); // a client that is gone is reported by `signal`
  }, heartbeatEveryMs);
  heartbeat.unref();
  raw.once('close', () => clearInterval(heartbeat));
  return { ...writer, signal };
}
