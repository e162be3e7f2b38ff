import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { findForm } from '../domain/form.ts';
import { setMember } from '../domain/json-splice.ts';
import type { PathRequest } from '../domain/protocol.ts';
import { withFormField } from '../domain/with-form-field.ts';
import { scanBody } from '../protocols/read-request.ts';
import {
  type DirectServer,
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelHandler,
  modelRoute,
} from './model-endpoint.ts';

const deployments = '/openai/deployments/';

/** Files and batches belong to no deployment, but the clients of one ask below it. */
const objectsOfDeployment = /^\/openai\/deployments\/[^/?]+(?=\/(?:files|batches)(?:[/?]|$))/;

/** Azure OpenAI has OpenAI's paths below its own, in the v1 API with the version and in the older one without. */
export function azureUrl(url: string): string {
  if (!url.startsWith('/openai/')) return url;
  const prefix = url.startsWith(deployments) ? objectsOfDeployment.exec(url)?.[0] : '/openai';
  if (prefix === undefined) return url;
  const path = url.slice(prefix.length);
  return path.startsWith('/v1/') ? path : `/v1${path}`;
}

/** An endpoint of OpenAI as the older API of Azure has it: the path names the deployment, which is the model. */
export function addDeploymentEndpoint(
  server: DirectServer,
  endpoint: ModelEndpoint,
  deps: ModelEndpointDeps,
): void {
  const own: ModelEndpoint = {
    ...endpoint,
    path: endpoint.path.replace('/v1/', `${deployments}:deployment/`),
    readPath,
  };
  const answer = modelHandler(own, deps);
  server.addDirect({
    ...modelRoute(own),
    async handle(request) {
      request.body = namingModel(request);
      await answer(request);
    },
  });
}

function readPath({ params }: DirectRequest): PathRequest {
  return { model: params.deployment ?? '', isStream: false };
}

/** The body with the deployment as its model, whatever model it named before. @throws GatewayError invalid_request. */
function namingModel(request: DirectRequest): Buffer {
  const { body, headers } = request;
  const { model } = readPath(request);
  if (findForm(body) !== undefined)
    return withFormField(body, headers['content-type'], { name: 'model', text: model });
  return splice(body, setMember(scanBody(body), 'model', JSON.stringify(model)));
}
