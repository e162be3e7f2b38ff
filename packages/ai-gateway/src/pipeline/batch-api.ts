import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Budgets } from '@strata/shared/money/budgets.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { BatchResult } from '../domain/batch-results.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { ModelProvider } from '../domain/provider.ts';
import type {
  BatchModel,
  ObjectKind,
  ProviderObject,
  ProviderObjectStore,
} from '../domain/provider-object.ts';
import type { ProviderApi } from './provider-api.ts';

/** What is different about the batches of one API. */
export interface BatchApi {
  readonly kind: Exclude<ObjectKind, 'file' | 'intent'>;
  /** The protocol name under which providers list it. */
  readonly protocol: string;
  hasEnded(object: JsonObject): boolean;
  /** Below the access path of the API, or of its files; undefined when there are no results. */
  resultsPath(batch: ProviderObject, provider: ModelProvider): string | undefined;
  readResult(line: JsonObject): BatchResult | undefined;
  /** Whether a batch that the provider lists may be the one that was about to be begun. */
  isBegunBy(object: JsonObject, intent: ProviderObject): boolean;
}

export interface SettlerDeps {
  readonly api: ProviderApi;
  readonly store: ProviderObjectStore;
  readonly budgets: Budgets;
  readonly ledger: UsageLedger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly apis: readonly BatchApi[];
  provider(name: string): ModelProvider | undefined;
  pricesOf(provider: ModelProvider, model: BatchModel): PriceList | undefined;
}

/** Where a provider has an API of such a name. @throws GatewayError when the configuration has it no more. */
export function accessPath(provider: ModelProvider, protocol: string): string {
  const path = provider.speaks.get(protocol)?.path({ model: '', isStream: false });
  if (path !== undefined) return path;
  throw gone(provider.name);
}

export function gone(provider: string): GatewayError {
  return new GatewayError('upstream_failed', `The account at '${provider}' is not configured any more.`, {
    reason: 'upstream_credential_unavailable',
  });
}
