import type { IncomingMessage } from 'node:http';
import type { SpanContext } from '@opentelemetry/api';
import type { Clock } from '../clock.ts';
import type { ErrorRenderer, RenderedError } from '../errors/error-renderer.ts';
import type { GatewayError } from '../errors/gateway-error.ts';
import type { Caller } from '../identity/caller.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A request that is refused, as far as it is known by then. */
export interface RefusedRequest {
  readonly id: string;
  readonly method: string;
  readonly raw: IncomingMessage;
  readonly ip: string;
  /** Undefined while nobody is known to be behind it. */
  readonly caller: Caller | undefined;
  readonly traceContext: SpanContext;
  /** As the route was registered; undefined where there is none. */
  readonly routeOptions: { readonly url?: string | undefined };
}

export interface RefusalDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every request that is answered with `unauthenticated` or `permission_denied`. */
  readonly onRefused: ((request: RefusedRequest, error: GatewayError) => void) | undefined;
}

/** A body that is too large is read and thrown away up to here, so that the client gets to read the refusal. */
const discardLimits = { bytes: 128 * 1024 * 1024, ms: 10_000 };

/** What a request is answered with that ends with an error. Whoever has to know of it is told. */
export async function renderRefusal(
  deps: RefusalDeps,
  request: RefusedRequest,
  { error, render }: { readonly error: GatewayError; readonly render: ErrorRenderer },
): Promise<RenderedError> {
  if (error.kind === 'internal')
    deps.log.error(
      { requestId: request.id, route: request.routeOptions.url, err: error.cause ?? error },
      'request failed',
    );
  if (error.kind === 'unauthenticated' || error.kind === 'permission_denied')
    deps.onRefused?.(request, error);
  const [path = ''] = (request.raw.url ?? '').split('?', 1);
  const rendered = render(error, { requestId: request.id, path });
  if (error.kind !== 'too_large') return rendered;
  await discardBody(request.raw, deps.clock);
  return { ...rendered, headers: { ...rendered.headers, connection: 'close' } };
}

/** Answering while the client still sends makes the kernel reset the connection and the answer is lost. */
async function discardBody(raw: IncomingMessage, clock: Clock): Promise<void> {
  if (raw.complete || raw.destroyed) return;
  let bytes = 0;
  const patience = new AbortController();
  const ended = new Promise<void>(resolve => {
    raw.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > discardLimits.bytes) resolve();
    });
    raw.once('end', resolve);
    raw.once('close', resolve);
  });
  raw.resume();
  await Promise.race([ended, clock.sleep(discardLimits.ms, patience.signal).catch(() => {})]);
  patience.abort();
}
