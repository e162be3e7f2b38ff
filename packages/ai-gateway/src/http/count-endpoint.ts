import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Call } from '../domain/call.ts';
import type { TokenCount } from '../domain/token-count.ts';
import { type ModelEndpoint, type ModelEndpointDeps, openCall } from './model-endpoint.ts';

export interface CountEndpointDeps extends Omit<ModelEndpointDeps, 'answer'> {
  count(call: Call): Promise<TokenCount>;
}

type CountEndpoint = Pick<ModelEndpoint, 'path' | 'prepare' | 'protocol' | 'readPath'>;

/** Counts the tokens of a prompt in the words of one protocol. `x-strata-estimated` says that no provider did. */
export function addCountEndpoint(
  app: FastifyInstance,
  endpoint: CountEndpoint,
  deps: CountEndpointDeps,
): void {
  const config = { access: 'caller', errors: endpoint.protocol.renderError } as const;
  app.post(endpoint.path, { config }, countHandler(endpoint, deps));
}

/** The same, where the route is shared with other methods. */
export function countHandler(endpoint: CountEndpoint, deps: CountEndpointDeps) {
  const { protocol } = endpoint;
  return async (request: FastifyRequest, reply: FastifyReply): Promise<object> => {
    const written = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const body = endpoint.prepare ? await endpoint.prepare(written, request.caller) : written;
    const call = openCall({ request, reply, body }, endpoint, deps);
    const { inputTokens, isEstimated } = await deps.count(call);
    reply.header(protocol.requestIdHeader, call.requestId);
    if (isEstimated) reply.header('x-strata-estimated', 'true');
    return protocol.counting?.render(inputTokens) ?? { input_tokens: inputTokens };
  };
}
