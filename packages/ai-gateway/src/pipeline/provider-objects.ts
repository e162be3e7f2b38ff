import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { PolicyGuard } from '@strata/shared/identity/policy-guard.ts';
import type { Limiter } from '@strata/shared/limits/limiter.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { BatchTarget } from '../domain/batch-requests.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import type { ModelProvider } from '../domain/provider.ts';
import {
  fileApis,
  type ObjectKind,
  type ProviderObject,
  type ProviderObjectStore,
  unknownObject,
} from '../domain/provider-object.ts';
import { findRoute, mayUse, type RouteTable, type Target, visibleRoutes } from '../domain/route.ts';
import { accessPath, gone } from './batch-api.ts';
import type { ProviderApi, ProviderRequest } from './provider-api.ts';

export interface ProviderObjectsDeps {
  readonly api: ProviderApi;
  readonly store: ProviderObjectStore;
  readonly limiter: Limiter;
  readonly ledger: UsageLedger;
  readonly policy: PolicyGuard;
  routes(): RouteTable;
  providers(): ReadonlyMap<string, ModelProvider>;
}

/** Files and batches at providers: whose they are, where they lie, and who may begin them. */
export class ProviderObjects {
  readonly #deps: ProviderObjectsDeps;

  constructor(deps: ProviderObjectsDeps) {
    this.#deps = deps;
  }

  get store(): ProviderObjectStore {
    return this.#deps.store;
  }

  /** Counts the request against the limits of its caller, and begins nothing that could not be booked. */
  async admit(caller: Caller): Promise<Readonly<Record<string, string>>> {
    this.#deps.ledger.requireRoom();
    const pass = await this.#deps.limiter.admit({
      tenant: caller.tenant,
      subjects: subjectsOf(caller),
      amounts: () => ({ requests: 1, input_tokens: 0, output_tokens: 0 }),
    });
    pass.finish();
    return pass.headers;
  }

  /** The same answer for what does not exist and for what is somebody else's (S-1, S-2). @throws GatewayError not_found. */
  async require(owner: Owner, kind: ObjectKind, id: string): Promise<ProviderObject> {
    const found = await this.#deps.store.find(owner, kind, id);
    if (found !== undefined) return found;
    throw unknownObject(kind, id);
  }

  /** The object as its provider tells it now. */
  async refresh(
    found: ProviderObject,
    protocol: string,
    asked: Pick<ProviderRequest, 'headers' | 'signal'>,
  ): Promise<ProviderObject> {
    const object = await this.ask(found, protocol, { ...asked, method: 'GET', suffix: `/${found.id}` });
    const seen = { ...found, object };
    await this.#deps.store.save(seen);
    return seen;
  }

  /** Asks the provider where an object lies. `suffix` follows the path of the API. */
  ask(
    at: Pick<ProviderObject, 'provider' | 'credential'>,
    protocol: string,
    request: Omit<ProviderRequest, 'provider' | 'credential' | 'path'> & { readonly suffix: string },
  ): Promise<JsonObject> {
    return this.#deps.api.json(this.#placed(at, protocol, request));
  }

  open(
    at: Pick<ProviderObject, 'provider' | 'credential'>,
    protocol: string,
    request: Omit<ProviderRequest, 'provider' | 'credential' | 'path'> & { readonly suffix: string },
  ) {
    return this.#deps.api.open(this.#placed(at, protocol, request));
  }

  #placed(
    at: Pick<ProviderObject, 'provider' | 'credential'>,
    protocol: string,
    {
      suffix,
      ...request
    }: Omit<ProviderRequest, 'provider' | 'credential' | 'path'> & { readonly suffix: string },
  ): ProviderRequest {
    const provider = this.#deps.providers().get(at.provider);
    if (provider === undefined) throw gone(at.provider);
    const path = `${accessPath(provider, protocol)}${suffix}`;
    return { ...request, provider, credential: at.credential, path };
  }

  /**
   * Where an alias goes in a batch: to its first target whose provider has batches, and all aliases of a batch to the same provider.
   *
   * @throws GatewayError not_found, permission_denied, invalid_request (`batch_provider_mixed`, `model_speaks_other_protocol`).
   */
  targetFinder(
    caller: Caller,
    protocol: string,
  ): { find(alias: string): BatchTarget; provider(): ModelProvider | undefined } {
    const { routes, policy } = this.#deps;
    let provider: ModelProvider | undefined;
    return {
      provider: () => provider,
      find(alias) {
        const route = findRoute(routes(), alias, caller.scopes.models);
        const able = route.targets.filter(target => target.provider.speaks.has(protocol));
        const target = able.find(each => provider === undefined || each.provider === provider);
        if (target === undefined) throw able.length === 0 ? noBatches(alias) : mixed(alias);
        provider = target.provider;
        const attributes = { provider: provider.name, model: target.model };
        policy.require(caller, { kind: 'model', name: alias, attributes }, protocol);
        return { alias, model: target.model, prices: target.prices };
      },
    };
  }

  /**
   * Where files without a model go: to the named provider, else to the only one that has files of this API.
   *
   * @throws GatewayError invalid_request (`files_provider_unknown`).
   */
  fileProvider(caller: Caller, protocol: string, named: string | undefined): ModelProvider {
    const providers = this.#deps.providers();
    const configured = named === undefined ? undefined : providers.get(named);
    if (configured !== undefined && !fileApis.some(api => configured.speaks.has(api)))
      throw this.#mayReach(caller, configured) ? noFilesAt(configured.name) : noFiles();
    const able = [...providers.values()].filter(each => each.speaks.has(protocol));
    const provider = able.find(each => each === configured) ?? onlyOne(able);
    if (provider === undefined || !this.#mayReach(caller, provider)) throw noFiles();
    return provider;
  }

  #mayReach(caller: Caller, provider: ModelProvider): boolean {
    const { models } = caller.scopes;
    const isTarget = (target: Target) => target.provider.name === provider.name;
    return (
      mayUse(models, `providers/${provider.name}`) ||
      visibleRoutes(this.#deps.routes(), models).some(route => route.targets.some(isTarget))
    );
  }
}

function onlyOne<T>(items: readonly T[]): T | undefined {
  return items.length === 1 ? items[0] : undefined;
}

function noBatches(alias: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `No provider of the model '${alias}' takes batches of this API.`,
    {
      reason: 'model_speaks_other_protocol',
      param: 'model',
    },
  );
}

function mixed(alias: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The model '${alias}' is not at the provider of the models before it. A batch goes to one provider.`,
    { reason: 'batch_provider_mixed', param: 'model' },
  );
}

function noFiles(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'It is not clear which provider the file is for. Ask the operator to set `files_provider`.',
    { reason: 'files_provider_unknown' },
  );
}

function noFilesAt(provider: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `\`files_provider\` names '${provider}', which takes no files. Ask the operator to name one that does.`,
    { reason: 'files_provider_unknown' },
  );
}
