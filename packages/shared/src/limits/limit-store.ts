import type { LimitCheck } from './limit.ts';

/** Later word of a request that was let through. */
export type LimitChange =
  /** It used more or, below 0, less than was taken. */
  | { readonly type: 'rate'; readonly key: string; readonly deltaUs: number; readonly burstUs: number }
  /** It has ended. */
  | { readonly type: 'leave'; readonly key: string; readonly leaseId: string };

export interface AdmitRequest {
  readonly checks: readonly LimitCheck[];
  /** Under which it holds its places in `concurrency` checks. */
  readonly lease: { readonly id: string; readonly ttlMs: number };
  /** Applied first, whatever becomes of the request: so they cost no round trip of their own. */
  readonly changes: readonly LimitChange[];
}

/** Those who share the limits. */
export interface LimitGroup {
  /** Another one: what was counted before is forgotten. */
  readonly epoch: string;
  /** How many replicas said lately that they live. */
  readonly replicas: number;
}

export type Admission =
  /** One state a check: of a rate in how many microseconds it is full again, of a concurrency the number of places taken. */
  | { readonly type: 'admitted'; readonly states: readonly number[]; readonly group: LimitGroup }
  /** The check that makes it wait longest. Nothing was taken anywhere. */
  | {
      readonly type: 'refused';
      readonly check: number;
      readonly waitUs: number;
      readonly states: readonly number[];
      readonly group: LimitGroup;
    };

/**
 * Where limits are counted. `admit` is one atomic step over all limits of a request: all let it through and count it, or none does. Time is
 * the store's own and never goes back: no setting of a caller's clock opens a limit or closes it. One contract for all: `test/contracts/limit-contract.ts`.
 *
 * @throws GatewayError overloaded (`hot_store_unavailable`, `hot_store_full`).
 */
export interface LimitStore {
  admit(request: AdmitRequest): Promise<Admission>;
  apply(changes: readonly LimitChange[]): Promise<void>;
  /** Says that these places are still taken and that this replica lives. */
  renew(beat: {
    readonly replica: string;
    readonly ttlMs: number;
    readonly places: readonly { readonly key: string; readonly leaseId: string }[];
  }): Promise<{ readonly replicas: number }>;
  close(): Promise<void>;
}
