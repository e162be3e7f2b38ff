import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors/gateway-error.ts';
import { problemErrors } from '../errors/problem.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** Resolves when the part is ready to serve; rejects, or takes too long, when it is not. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<void>;

const checkTimeoutMs = 1000;

/** Health, readiness, metrics, recent traces: the same on every gateway. */
export function addBuiltInRoutes(
  app: FastifyInstance,
  options: {
    telemetry: Telemetry;
    readiness: ReadonlyMap<string, ReadinessCheck>;
    isDraining: () => boolean;
  },
): void {
  const { telemetry, readiness, isDraining } = options;

  // Alive: the event loop answers. Nothing else is asked, so that a store that is down does not get the process killed.
  app.get('/healthz', { config: { access: 'public', errors: problemErrors } }, async () => ({
    status: 'ok',
  }));

  app.get('/readyz', { config: { access: 'public', errors: problemErrors } }, async (_request, reply) => {
    const checks = Object.fromEntries(
      await Promise.all(
        [...readiness].map(
          async ([name, check]) => [name, (await passes(check)) ? 'ok' : 'failing'] as const,
        ),
      ),
    );
    const isReady = !isDraining() && Object.values(checks).every(state => state === 'ok');
    return reply
      .code(isReady ? 200 : 503)
      .send({ status: isDraining() ? 'draining' : isReady ? 'ready' : 'not ready', checks });
  });

  app.get('/metrics', { config: { access: 'public', errors: problemErrors } }, async (request, reply) => {
    requireLoopback(request);
    return sendMetrics(telemetry, reply);
  });
  // The same for a scraper that is not on this machine.
  app.get('/admin/v1/metrics', { config: { access: 'admin', errors: problemErrors } }, (_request, reply) =>
    sendMetrics(telemetry, reply),
  );

  app.get<{ Params: { traceId: string } }>(
    '/admin/v1/traces/:traceId',
    { config: { access: 'admin', errors: problemErrors } },
    async request => {
      if (telemetry.recentSpans === undefined) {
        throw new GatewayError('not_found', 'No spans are kept. Set `telemetry.recent_spans`.', {
          reason: 'recent_spans_off',
        });
      }
      return {
        trace_id: request.params.traceId,
        spans: telemetry.recentSpans.ofTrace(request.params.traceId),
      };
    },
  );
}

async function sendMetrics(telemetry: Telemetry, reply: FastifyReply): Promise<FastifyReply> {
  return reply
    .header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
    .send(await telemetry.prometheus());
}

async function passes(check: ReadinessCheck): Promise<boolean> {
  const signal = AbortSignal.timeout(checkTimeoutMs);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([check(signal), late]).then(
    () => true,
    () => false,
  );
}

/** Metrics name models, tools and routes; without a key they are for this machine only. */
function requireLoopback(request: FastifyRequest): void {
  const address = request.raw.socket.remoteAddress ?? '';
  if (address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')) return;
  throw new GatewayError(
    'permission_denied',
    'Metrics are open to this machine only. Scrape /admin/v1/metrics with an admin key.',
    {
      reason: 'loopback_only',
    },
  );
}
