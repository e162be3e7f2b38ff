import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest, DirectRoute } from '@strata/shared/http/direct-request.ts';
import type { ScannedObject } from '../domain/json-scan.ts';
import type { PathRequest } from '../domain/protocol.ts';
import { asMessages } from '../protocols/anthropic-hosted/as-messages.ts';
import { anthropicMessages } from '../protocols/anthropic-messages/anthropic-messages.ts';
import { type CountEndpointDeps, countHandler } from './count-endpoint.ts';
import {
  type DirectServer,
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelHandler,
  modelRoute,
} from './model-endpoint.ts';

export type HostedMessagesDeps = CountEndpointDeps &
  ModelEndpointDeps & { readonly prepare: NonNullable<ModelEndpoint['prepare']> };

const paths = ['v1', 'v1beta1'].map(
  version => `/${version}/projects/:project/locations/:location/publishers/anthropic/models/*`,
);

/** Claude as the clients of Vertex AI ask for it: `rawPredict`, `streamRawPredict` and `count-tokens:rawPredict`. */
export function addVertexMessagesEndpoints(server: DirectServer, deps: HostedMessagesDeps): void {
  for (const path of paths) {
    const endpoint = { path, protocol: anthropicMessages, prepare: deps.prepare };
    const answer = hostedMessagesHandler(modelHandler(endpoint, deps), readModelPath);
    const count = countHandler(endpoint, deps); // its body names the model
    server.addDirect({
      ...modelRoute(endpoint),
      handle: async request => (request.params['*'] === 'count-tokens:rawPredict' ? count : answer)(request),
    });
  }
}

function readModelPath(request: DirectRequest): PathRequest {
  const { '*': path = '' } = request.params;
  const colon = path.lastIndexOf(':');
  const method = path.slice(colon + 1);
  if (colon > 0 && (method === 'rawPredict' || method === 'streamRawPredict'))
    return { model: path.slice(0, colon), isStream: method === 'streamRawPredict' };
  throw new GatewayError('not_found', `'${method.slice(0, 64)}' is not a method of a model.`, {
    reason: 'unknown_route',
  });
}

/** `answer` takes Messages; this takes them in the form of a host, whose path says what their body does not. A body may have been scanned. */
export function hostedMessagesHandler(
  answer: DirectRoute['handle'],
  readPath: (request: DirectRequest) => PathRequest,
): (request: DirectRequest, scanned?: ScannedObject) => Promise<void> {
  return async (request, scanned) => {
    const { body, betas } = asMessages(request.body, readPath(request), scanned);
    request.body = body;
    if (betas.length > 0) request.headers['anthropic-beta'] = withBetas(request, betas);
    await answer(request);
  };
}

function withBetas({ headers }: DirectRequest, betas: readonly string[]): string {
  const { 'anthropic-beta': said } = headers;
  return typeof said === 'string' ? [said, ...betas].join(',') : betas.join(',');
}
