import type { Clock } from '@strata/shared/clock.ts';
import type { Dialer, Origin } from '@strata/shared/http/dialer.ts';
import { definePlugin } from '@strata/shared/plugin.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Lack } from './codec.ts';
import type { Quirks } from './quirks.ts';

/** How a provider is reached in one protocol. */
export interface ProtocolAccess {
  /** Appended to the origin's base path. `model` is the provider's name of it. */
  path(request: { readonly model: string; readonly isStream: boolean }): string;
  /** POST by default. */
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Whether a stream may be asked to report its usage. */
  readonly mayAskStreamUsage: boolean;
  /** What is different about this vendor's form of the protocol. */
  readonly quirks?: Quirks;
  /** Where prompts are counted in this protocol, `model` as above. Absent: nowhere. */
  countPath?(model: string): string;
  /** Whether it counts what is asked as it is, without what the protocol puts around it. */
  readonly countsBare?: boolean;
  /** What this provider lacks of the protocol. */
  readonly lacks?: readonly Lack[];
}

/** A request as it will go out, for a credential that signs. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly origin: Origin;
  /** Below the origin's base path, with its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly signal: StopSignal;
}

export type CredentialHeaders = Readonly<Record<string, string>>;

/** One way to prove to a provider who asks. */
export interface Credential {
  /** For breakers, rests and the trace; tells nothing of the secret. Unique within the provider. */
  readonly id: string;
  /** Of its headers, those that hold no secret. Lower case. */
  readonly plainHeaders?: ReadonlySet<string>;
  /** The headers that authorise this one request. @throws GatewayError upstream_failed when none can be had. */
  authorize(request: OutgoingRequest): CredentialHeaders | Promise<CredentialHeaders>;
}

/** A configured account at a vendor: where it is, what it speaks and with which credentials. */
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
  /** Headers of every request that prove nothing. */
  readonly headers: Readonly<Record<string, string>>;
  /** Never empty; used in turn. Bound to `origin`: they go nowhere else (A2). */
  readonly credentials: readonly [Credential, ...Credential[]];
}

export interface ProviderDeps {
  readonly name: string;
  readonly clock: Clock;
  /** For tokens that a vendor's library fetches. */
  readonly dialer: Dialer;
}

export const defineProvider = definePlugin<ProviderDeps, ModelProvider>();
