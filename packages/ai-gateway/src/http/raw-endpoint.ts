import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { readBody } from '@strata/shared/http/read-body.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import type { ModelProvider } from '../domain/provider.ts';
import { mayUse, type Route } from '../domain/route.ts';
import { asString, parseObject } from '../protocols/read-json.ts';
import { raw } from '../protocols/same-protocol/raw.ts';
import { addModelEndpoint, type DirectServer, type ModelEndpointDeps } from './model-endpoint.ts';

export interface RawEndpointDeps extends ModelEndpointDeps {
  providers(): ReadonlyMap<string, ModelProvider>;
  pricesOf(provider: ModelProvider, model: string): PriceList | undefined;
  /** Takes a body of any size aside. */
  receive(request: DirectRequest): Promise<Buffer>;
  readonly maxBodyBytes: number;
}

const methods = ['GET', 'POST', 'DELETE'] as const;
const mediaTypes = [
  'application/json',
  'multipart/form-data',
  'application/octet-stream',
  'application/x-ndjson',
];

/**
 * `/providers/{name}/…`: the provider's own API below its address, with its credential, metered and priced by the model that the
 * body names. For what the gateway has no endpoint for: files, batches, fine-tuning. A key needs the model scope
 * `providers/{name}`.
 */
export function addRawEndpoint(server: DirectServer, deps: RawEndpointDeps): void {
  addModelEndpoint(
    server,
    {
      path: '/providers/:name/*',
      protocol: raw,
      methods,
      mediaTypes,
      // Of JSON the model is read, for the price. What else there is may be large and is only passed on.
      async receive(request) {
        providerOf(request, deps); // nobody sends a large body for nothing
        return isJson(request) ? readBody(request.raw, deps.maxBodyBytes) : deps.receive(request);
      },
      readPath: request => ({ model: modelOf(request), isStream: false }),
      findRoute: request => routeOf(request, deps),
    },
    deps,
  );
}

function isJson({ headers }: DirectRequest): boolean {
  return headers['content-type']?.startsWith('application/json') ?? true;
}

function modelOf(request: DirectRequest): string {
  const body = isJson(request) ? parseObject(request.body) : undefined;
  return asString(body?.model) ?? 'raw';
}

/** @throws GatewayError not_found (`provider_not_found`). */
function providerOf({ params, caller }: DirectRequest, deps: RawEndpointDeps): ModelProvider {
  const { name = '' } = params;
  const provider = deps.providers().get(name);
  if (provider !== undefined && mayUse(caller.scopes.models, `providers/${name}`)) return provider;
  throw new GatewayError('not_found', `There is no provider '${name.slice(0, 128)}' for this key.`, {
    reason: 'provider_not_found',
  });
}

function routeOf(request: DirectRequest, deps: RawEndpointDeps): Route {
  const provider = providerOf(request, deps);
  const { name } = provider;
  const path = request.url.slice(`/providers/${name}`.length);
  const method = methods.find(each => each === request.method) ?? 'POST';
  const access = { path: () => path, method, mayAskStreamUsage: false };
  const model = modelOf(request);
  const target = {
    id: `${name}/raw`,
    provider: { ...provider, speaks: new Map([[raw.name, access]]) },
    model,
    prices: deps.pricesOf(provider, model),
    weight: undefined,
  };
  return { alias: `providers/${name}`, targets: [target] };
}
