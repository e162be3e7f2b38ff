import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance } from 'fastify';
import { bedrockConverse } from '../protocols/bedrock-converse/bedrock-converse.ts';
import { addModelEndpoint, type ModelEndpointDeps } from './model-endpoint.ts';

/** `/model/{id}/converse` and `/model/{id}/converse-stream`, as the AWS SDKs call them. Ids may hold slashes. */
export function addConverseEndpoints(app: FastifyInstance, deps: ModelEndpointDeps): void {
  addModelEndpoint(
    app,
    {
      path: '/model/*',
      protocol: bedrockConverse,
      readPath: request => readModelPath((request.params as { '*': string })['*']), // the wildcard of this very path
    },
    deps,
  );
}

function readModelPath(path: string): { model: string; isStream: boolean } {
  const slash = path.lastIndexOf('/');
  const operation = path.slice(slash + 1);
  const isStream = operation === 'converse-stream';
  if (slash > 0 && (isStream || operation === 'converse')) return { model: path.slice(0, slash), isStream };
  throw new GatewayError('not_found', `'${operation.slice(0, 64)}' is not an operation of a model.`, {
    reason: 'unknown_route',
  });
}
