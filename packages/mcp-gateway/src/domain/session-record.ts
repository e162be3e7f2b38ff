import type { ClientHello } from './capabilities.ts';

/** Who a session belongs to. Nobody else can use it, or learn that it exists (M5). */
export interface SessionBinding {
  readonly tenant: string;
  readonly principal: string;
  readonly route: string;
}

/** What another replica needs to go on with a session whose owner is gone. */
export interface SessionRecord {
  readonly binding: SessionBinding;
  readonly hello: ClientHello;
  /** Wall clock. */
  readonly createdAtMs: number;
  readonly logLevel: string | undefined;
  readonly subscriptions: readonly KeptSubscription[];
}

/** A resource whose updates the client wants, under both its names. */
export interface KeptSubscription {
  readonly server: string;
  readonly uri: string;
  readonly exposed: string;
}

/** Proof of owning a session. Every write names it, and one that is not the latest is refused (MCP-2). */
export interface SessionLease {
  readonly key: string;
  readonly fence: number;
}

export interface StoredSession {
  readonly record: SessionRecord;
  readonly owner: SessionOwner;
}

/** The replica that a session belongs to, and the fence it owns it under. */
export interface SessionOwner {
  readonly instance: string;
  /** Where other replicas reach it. */
  readonly url: string;
  readonly fence: number;
}

/**
 * Sessions as all replicas see them. Every method throws GatewayError overloaded (`hot_store_unavailable`) when the store does not
 * answer.
 */
export interface SessionStore {
  read(tag: string): Promise<StoredSession | undefined>;
  /** Makes a new session this replica's. */
  create(tag: string, record: SessionRecord): Promise<SessionLease>;
  /** Takes a session from an owner that is gone. `undefined` when another replica was faster. */
  takeOver(tag: string, stored: StoredSession): Promise<SessionLease | undefined>;
  /**
   * To be repeated while the session is used: one whose owner is gone is forgotten when it was unused for too long. `false` when it belongs
   * to another replica by now.
   */
  save(tag: string, record: SessionRecord, lease: SessionLease): Promise<boolean>;
  /** The session is over, for all replicas. */
  end(tag: string, lease: SessionLease): Promise<void>;
  /** Leaves the session to whichever replica is asked for it next. */
  release(lease: SessionLease): Promise<void>;
  /** Whether a replica has said so lately. */
  isAlive(instance: string): Promise<boolean>;
  /** Says that this replica lives, for `ttlMs`. */
  beat(ttlMs: number): Promise<void>;
}

/** Stands for a session in logs, traces and keys of the store. */
export function sessionKey(tag: string, part: string): string {
  return `mcp:{${tag}}:${part}`;
}
