import type { Origin } from '@strata/shared/http/dialer.ts';
import { definePlugin } from '@strata/shared/plugin.ts';

/** How a provider is reached in one protocol. */
export interface ProtocolAccess {
  /** Appended to the origin's base path. */
  readonly path: string;
  /** Whether a stream may be asked to report its usage. */
  readonly mayAskStreamUsage: boolean;
}

/** A configured account at a vendor: where it is, what it speaks and with which credential. */
export interface ModelProvider {
  /** The name in the configuration. */
  readonly name: string;
  /** GenAI semantic conventions `gen_ai.provider.name`. */
  readonly system: string;
  /** Under which name the price catalog holds its models; undefined when it holds none of them. */
  readonly vendor: string | undefined;
  readonly origin: Origin;
  /** Protocol name → access. A protocol that is not here is not spoken. */
  readonly speaks: ReadonlyMap<string, ProtocolAccess>;
  /** Headers of every request, the credential among them. Bound to `origin`: they go nowhere else (A2). */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ProviderDeps {
  readonly name: string;
}

export const defineProvider = definePlugin<ProviderDeps, ModelProvider>();
