import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { bedrockConverse } from '../protocols/bedrock-converse/bedrock-converse.ts';
import { asObject, parseObject } from '../protocols/read-json.ts';
import { type CountEndpointDeps, countHandler } from './count-endpoint.ts';
import { type DirectServer, type ModelEndpointDeps, modelHandler, modelRoute } from './model-endpoint.ts';

const operations = ['converse', 'converse-stream', 'count-tokens'] as const;

/** `/model/{id}/converse`, `/converse-stream` and `/count-tokens`, as the AWS SDKs call them. Ids may hold slashes. */
export function addConverseEndpoints(
  server: DirectServer,
  deps: CountEndpointDeps & ModelEndpointDeps,
): void {
  const path = '/model/*';
  const readPath = (request: DirectRequest) => {
    const { model, operation } = readModelPath(request);
    return { model, isStream: operation === 'converse-stream' };
  };
  const asked = { path, protocol: bedrockConverse, readPath };
  const answer = modelHandler(asked, deps);
  const count = countHandler({ ...asked, prepare: unwrapCount }, deps);
  server.addDirect({
    ...modelRoute(asked),
    handle: async request =>
      readModelPath(request).operation === 'count-tokens' ? count(request) : answer(request),
  });
}

function readModelPath(request: DirectRequest): { model: string; operation: (typeof operations)[number] } {
  const { '*': path = '' } = request.params;
  const slash = path.lastIndexOf('/');
  const written = path.slice(slash + 1);
  const operation = operations.find(each => each === written);
  if (slash > 0 && operation !== undefined) return { model: path.slice(0, slash), operation };
  throw new GatewayError('not_found', `'${written.slice(0, 64)}' is not an operation of a model.`, {
    reason: 'unknown_route',
  });
}

/** @throws GatewayError invalid_request for prompts in the words of a model: which they are, only Bedrock knows. */
async function unwrapCount(body: Buffer): Promise<Buffer> {
  const converse = asObject(asObject(parseObject(body)?.input)?.converse);
  if (converse !== undefined) return Buffer.from(JSON.stringify(converse));
  throw new GatewayError('invalid_request', 'What is counted must be in `input.converse`.', {
    reason: 'input_missing',
    param: 'input',
  });
}
