import type { DirectRoute } from '@strata/shared/http/direct-request.ts';
import { sendJson } from '@strata/shared/http/send-whole.ts';
import type { Call } from '../domain/call.ts';
import type { TokenCount } from '../domain/token-count.ts';
import {
  type DirectServer,
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelRoute,
  openCall,
} from './model-endpoint.ts';

export interface CountEndpointDeps extends Omit<ModelEndpointDeps, 'answer'> {
  count(call: Call): Promise<TokenCount>;
}

type CountEndpoint = Pick<ModelEndpoint, 'path' | 'prepare' | 'protocol' | 'readPath'>;

/** Counts the tokens of a prompt in the words of one protocol. `x-strata-estimated` says that no provider did. */
export function addCountEndpoint(
  server: DirectServer,
  endpoint: CountEndpoint,
  deps: CountEndpointDeps,
): void {
  server.addDirect({ ...modelRoute(endpoint), handle: countHandler(endpoint, deps) });
}

/** The same, where the route is shared with other methods. */
export function countHandler(endpoint: CountEndpoint, deps: CountEndpointDeps): DirectRoute['handle'] {
  const { protocol } = endpoint;
  return async request => {
    const { body: written, caller } = request;
    const body = endpoint.prepare ? await endpoint.prepare(written, caller) : written;
    const call = openCall({ request, body }, endpoint, deps);
    const { inputTokens, isEstimated } = await deps.count(call);
    const counted = protocol.counting?.render(inputTokens) ?? { input_tokens: inputTokens };
    sendJson(request, counted, {
      [protocol.requestIdHeader]: call.requestId,
      ...(isEstimated && { 'x-strata-estimated': 'true' }),
    });
  };
}
