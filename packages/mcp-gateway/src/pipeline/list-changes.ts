import type { Clock } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ListKind } from '../domain/catalog.ts';
import { createDebounce, type Debounce } from '../domain/debounce.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { SessionCatalog } from './session-catalog.ts';

export interface ListChangesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: () => GatewaySettings;
  readonly tag: string;
  readonly catalog: () => SessionCatalog;
  readonly tell: (changed: ReadonlySet<ListKind>) => void;
}

/** Collects what may have changed in one client's lists, and tells it about lists that look different now, and no others (P21). */
export class ListChanges {
  readonly #options: ListChangesOptions;
  readonly #debounce: Debounce<ListKind>;
  readonly #saidBy = new Map<ListKind, Set<Upstream>>();

  constructor(options: ListChangesOptions) {
    this.#options = options;
    const { clock, log, settings, tag } = options;
    this.#debounce = createDebounce(
      clock,
      () => settings().listChangedDebounceMs,
      kinds => {
        this.#compare(kinds).catch((error: unknown) => {
          log.warn({ client: tag, err: error }, 'list changes could not be told');
        });
      },
    );
  }

  /** `saidBy`: the server whose word it is; absent when its conversation was merely opened, or servers were added or removed. */
  add(kinds: readonly ListKind[], saidBy?: Upstream): void {
    for (const kind of kinds) {
      if (saidBy) this.#saidBy.set(kind, (this.#saidBy.get(kind) ?? new Set()).add(saidBy));
      this.#debounce.add(kind);
    }
  }

  cancel(): void {
    this.#debounce.cancel();
    this.#saidBy.clear();
  }

  async #compare(kinds: ReadonlySet<ListKind>): Promise<void> {
    const { catalog, settings, tell } = this.#options;
    const signal = AbortSignal.timeout(settings().listTimeoutMs);
    const changed = new Set<ListKind>();
    for (const kind of kinds) {
      const saidBy = this.#saidBy.get(kind) ?? new Set();
      this.#saidBy.delete(kind);
      if (await catalog().hasChanged(kind, saidBy, signal)) changed.add(kind);
    }
    if (changed.size > 0) tell(changed);
  }
}
