import { LimitExceeded } from '@strata/shared/limits/limit-answer.ts';
import type { Limiter, Pass } from '@strata/shared/limits/limiter.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const passes = new WeakMap<FastifyRequest, Pass>();

/**
 * Counts what asks for something to be done against the limits of its caller, in one step and before its body is read: a request that is
 * refused counts nowhere. Reading counts as little as it does at the other gateways. For routes that are added after it.
 */
export function addRequestLimits(app: FastifyInstance, limiter: Limiter): void {
  app.addHook('onRequest', async (request, reply) => {
    const { url = '', config } = request.routeOptions;
    if (config.access !== 'caller' || isReading(request.method) || !url.startsWith('/v1/')) return;
    const pass = await admit(request, reply, limiter);
    passes.set(request, pass);
    if (reply.raw.closed) pass.finish();
    else reply.raw.once('close', () => pass.finish());
  });
}

function isReading(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Whoever only waits from here on takes no place from those who do something: from its own run, say. */
export function leaveLimits(request: FastifyRequest): void {
  passes.get(request)?.finish();
}

/** The answer tells what is left, also when the request is refused. */
async function admit(request: FastifyRequest, reply: FastifyReply, limiter: Limiter): Promise<Pass> {
  const { caller } = request;
  try {
    const pass = await limiter.admit({
      tenant: caller.tenant,
      subjects: subjectsOf(caller),
      amounts: () => ({ requests: 1, ...(startsRun(request) && { runs: 1 }) }),
    });
    void reply.headers(pass.headers);
    return pass;
  } catch (error) {
    if (error instanceof LimitExceeded) void reply.headers(error.headers);
    throw error;
  }
}

function startsRun({ method, url, routeOptions }: FastifyRequest): boolean {
  if (method !== 'POST') return false;
  return routeOptions.url === '/v1/runs' || /:(fork|trigger)$/.test(url.split('?', 1)[0] ?? '');
}
