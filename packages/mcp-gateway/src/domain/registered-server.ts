import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** What the operator wants of a server at the moment. A draining one finishes its calls and gets no new ones. */
export const serverStates = ['enabled', 'disabled', 'draining'] as const;
export type ServerState = (typeof serverStates)[number];

/** `drained`: disabled by the end of a drain, so that other replicas may finish what runs on them. An admin sees `disabled`. */
export type StoredState = ServerState | 'drained';

/** What the store knows of a server: one that an admin registered, or the state of one that the configuration holds. */
export interface StoredServer {
  readonly name: string;
  /** As it was given; undefined where the configuration holds it. */
  readonly config: unknown;
  readonly state: StoredState;
  /** Counts changes, from 1. */
  readonly revision: number;
}

/** Enters a change in the audit log, in the transaction that makes it. */
export type RecordChange = (transaction: object) => Promise<void>;

/** Servers as an admin registered or switched them, for all replicas. Methods throw what the SQL port throws. */
export interface ServerStore {
  list(): Promise<readonly StoredServer[]>;
  put(server: Omit<StoredServer, 'revision'>, record: RecordChange): Promise<void>;
  remove(name: string, record: RecordChange): Promise<void>;
  /** From `draining` to `drained`; `false` when it is no longer draining. Its beginning is what was entered in the audit log. */
  finishDraining(name: string): Promise<boolean>;
}

export function definitionInvalid(problem: string): GatewayError {
  return new GatewayError('invalid_request', `The server cannot be registered: ${problem}.`, {
    reason: 'server_definition_invalid',
  });
}
