import type { Expected } from './expected.ts';

/** A value that outlives runs: what agents and people keep for one another. */
export interface ItemSummary extends ItemName {
  /** Rises with every change: the ETag. */
  readonly revision: number;
  readonly expiresAtMs: number | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Who wrote it last. */
  readonly principal: string;
}

export interface StoreItem extends ItemSummary {
  readonly value: unknown;
}

export type NewItem = Omit<StoreItem, 'revision' | 'createdAtMs'>;

export interface ItemName {
  readonly tenant: string;
  readonly namespace: string;
  readonly key: string;
}

export interface ItemRoom {
  /** Of one tenant. */
  readonly most: number;
  readonly mostBytes: number;
}

export interface PutItem {
  readonly item: StoreItem;
  /** There was none before. */
  readonly isNew: boolean;
}

export interface StoreItems {
  get(name: ItemName, nowMs: number): Promise<StoreItem | undefined>;
  /** `unexpected` when what is there is not what was expected, `full` when the tenant has no room for it. */
  put(
    item: NewItem,
    options: { readonly expected: Expected; readonly room: ItemRoom },
  ): Promise<PutItem | 'unexpected' | 'full'>;
  delete(
    name: ItemName,
    options: { readonly expected: Expected; readonly nowMs: number },
  ): Promise<'deleted' | 'absent' | 'unexpected'>;
  /** By namespace and key; those whose keys begin with `prefix`. */
  list(page: {
    readonly tenant: string;
    readonly namespace: string | undefined;
    readonly prefix: string;
    readonly after: readonly [namespace: string, key: string] | undefined;
    readonly limit: number;
    readonly nowMs: number;
  }): Promise<ItemSummary[]>;
  /** Gives how many. */
  removeExpired(options: { readonly nowMs: number; readonly limit: number }): Promise<number>;
}
