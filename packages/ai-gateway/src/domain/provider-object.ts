import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { JsonObject } from './json-object.ts';
import type { Owner } from './owner.ts';

/** APIs in which files lie at a provider. */
export const fileApis = ['openai-files', 'anthropic-files'] as const;

/** `intent`: a batch that is about to be begun; nobody sees it. */
export type ObjectKind = 'file' | 'batch' | 'message-batch' | 'intent';

/** One model of a batch: what the client called it, and what the provider does. */
export interface BatchModel {
  readonly alias: string;
  readonly model: string;
}

/** Who bears the cost of a batch that ends when nobody is asking any more. */
export interface BatchPayer {
  readonly tenant: string;
  readonly team: string;
  readonly project: string;
  readonly principal: string;
  readonly keyId?: string | undefined;
  readonly tags: readonly string[];
  readonly runId?: string | undefined;
  readonly taskId?: string | undefined;
}

/** What the gateway keeps about an object beside what the provider says of it. All of it is optional on the wire of the store. */
export interface ObjectFacts {
  /** Of an input file or a batch. */
  readonly models?: readonly BatchModel[];
  /** Of an input file: the most that its requests can cost, nano-USD as text; absent: not known. */
  readonly worstCaseNanoUsd?: string;
  /** Of an input file: the only endpoint for which that holds, where it does not for others. */
  readonly endpoint?: string;
  /** Of a batch: the budget in which that is set aside. */
  readonly hold?: string;
  readonly payer?: BatchPayer;
  /** Of an intent: what it begins. */
  readonly begins?: ObjectKind;
  /** Of a batch: the intent that began it. */
  readonly intent?: string;
  /** Of an output file: the batch that wrote it. */
  readonly batchId?: string;
}

/** Something that lies at a provider and belongs to whoever put it there. */
export interface ProviderObject {
  readonly owner: Owner;
  readonly kind: ObjectKind;
  readonly id: string;
  readonly provider: string;
  readonly credential: string;
  readonly createdAtMs: number;
  readonly isSettled: boolean;
  readonly object: JsonObject;
  readonly facts: ObjectFacts;
}

export interface ObjectPage {
  /** Id of the object before the first one of the page; unknown ids count as none. */
  readonly after: string | undefined;
  readonly limit: number;
  readonly order: 'asc' | 'desc';
}

/** Whose the files and batches at providers are. Nobody else finds them, whatever they know of their ids (S-1, S-2). */
export interface ProviderObjectStore {
  /** Replaces an earlier one of the same owner, kind and id. */
  save(object: ProviderObject): Promise<void>;
  find(owner: Owner, kind: ObjectKind, id: string): Promise<ProviderObject | undefined>;
  list(owner: Owner, kind: ObjectKind, page: ObjectPage): Promise<readonly ProviderObject[]>;
  remove(owner: Owner, kind: ObjectKind, id: string): Promise<void>;
  /** Which of the ids are known and belong to others only. */
  foreign(owner: Owner, kind: ObjectKind, ids: readonly string[]): Promise<readonly string[]>;
  /** Batches whose money is still set aside and that nobody looked at since `beforeMs`; the oldest first. */
  unsettled(beforeMs: number, limit: number): Promise<readonly ProviderObject[]>;
}

export function payerOf(caller: Caller): BatchPayer {
  const { tenant, team, project, principal, keyId, tags, envelope } = caller;
  return {
    ...{ tenant, team, project, principal, tags },
    ...(keyId !== undefined && { keyId }),
    ...(envelope?.runId !== undefined && { runId: envelope.runId }),
    ...(envelope?.taskId !== undefined && { taskId: envelope.taskId }),
  };
}

const words: Readonly<Record<ObjectKind, string>> = {
  file: 'file',
  batch: 'batch',
  'message-batch': 'message batch',
  intent: 'batch',
};

export function unknownObject(kind: ObjectKind, id: string): GatewayError {
  return new GatewayError('not_found', `There is no ${words[kind]} '${id.slice(0, 200)}' for this key.`, {
    reason: 'provider_object_not_found',
  });
}
