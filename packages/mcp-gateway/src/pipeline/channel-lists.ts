import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { ListKind } from '../domain/catalog.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { Channel } from '../domain/upstream.ts';
import { isSchemeAllowed } from '../domain/uri-schemes.ts';
import { withSignal } from '../domain/with-signal.ts';
import { errorCodeOf, rawText } from '../wire/frame.ts';
import { type ListedItem, listMethods, readListPage } from '../wire/list-items.ts';

const maxPages = 1000;
const maxItems = 100_000;
const methodNotFound = -32601;

const capabilityOf: Readonly<Record<ListKind, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resources',
};

interface Loading {
  readonly items: Promise<readonly ListedItem[]>;
  /** Once they are here. */
  held: readonly ListedItem[] | undefined;
  /** When the server wants the list to be asked for again; never, when it tells changes. */
  untilMs: number;
}

/**
 * What one conversation's server offers, read when it is needed and kept until the server says that it changed, or until the
 * time it said (2026-07-28, "Caching"). It is of one conversation, so a `private` list is nobody else's (M19).
 */
export class ChannelLists {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #hasTasks: boolean;
  readonly #loaded = new Map<ListKind, Loading>();

  /** `hasTasks`: whether tasks of sessions (2025-11-25) are carried here. */
  constructor(channel: Channel, clock: Clock, hasTasks = false) {
    this.#channel = channel;
    this.#clock = clock;
    this.#hasTasks = hasTasks;
  }

  /**
   * The list; one that `mayBeOld` is good enough to find the server behind a name.
   * @throws GatewayError of the server, or the signal's reason
   */
  load(kind: ListKind, signal: StopSignal, mayBeOld = false): Promise<readonly ListedItem[]> {
    let loading = this.#loaded.get(kind);
    if (!loading || (!mayBeOld && loading.untilMs <= this.#clock.monotonic())) {
      const items = this.#read(kind, ttlMs => this.#keep(own, ttlMs));
      const own: Loading = { items, held: undefined, untilMs: Infinity };
      loading = own;
      this.#loaded.set(kind, own);
      items.then(
        held => {
          own.held = held;
        },
        () => {
          if (this.#loaded.get(kind) === own) this.#loaded.delete(kind);
        },
      );
    }
    return withSignal(loading.items, signal);
  }

  /** The list if it is here, be it old: good enough to find the server behind a name at once. */
  held(kind: ListKind): readonly ListedItem[] | undefined {
    return this.#loaded.get(kind)?.held;
  }

  /** How long the list may still be shown without asking, ms; 0 when the server did not say. */
  ttlMs(kind: ListKind): number {
    const { untilMs = 0 } = this.#loaded.get(kind) ?? {};
    return untilMs === Infinity ? 0 : Math.max(0, Math.floor(untilMs - this.#clock.monotonic()));
  }

  invalidate(kinds: readonly ListKind[]): void {
    for (const kind of kinds) this.#loaded.delete(kind);
  }

  invalidateAll(): void {
    this.#loaded.clear();
  }

  #keep(loading: Loading, ttlMs: number | undefined): void {
    if (ttlMs !== undefined) loading.untilMs = this.#clock.monotonic() + ttlMs;
  }

  /** Every page of the list. Only the absence of `nextCursor` ends it: an empty page or cursor does not. */
  async #read(kind: ListKind, onTtl: (ttlMs: number | undefined) => void): Promise<readonly ListedItem[]> {
    const { policy } = this.#channel.upstream;
    const signal = AbortSignal.timeout(policy.openTimeoutMs + policy.callTimeoutMs);
    const { capabilities } = await this.#channel.ready(signal);
    if (capabilities[capabilityOf[kind]] === undefined) return [];
    const items: ListedItem[] = [];
    const isUri = kind === 'resources' || kind === 'templates';
    const seen = new Set<string>();
    let cursor: string | undefined;
    let ttlMs: number | undefined;
    for (let page = 0; page < maxPages; page++) {
      const frame = await this.#channel.ask(
        listMethods[kind],
        cursor === undefined ? {} : { cursor },
        signal,
      );
      if (frame.error) {
        if (errorCodeOf(frame) === methodNotFound) return items;
        throw this.#failed(kind, 'answered a list with an error');
      }
      const { items: more, nextCursor } = readListPage(frame, kind, this.#hasTasks);
      items.push(...(isUri ? more.filter(item => isSchemeAllowed(item.key, policy.uriSchemes)) : more));
      ttlMs = shorter(ttlMs, ttlOf(frame));
      if (nextCursor === undefined) {
        onTtl(ttlMs);
        return items;
      }
      if (seen.has(nextCursor) || items.length > maxItems) break;
      seen.add(nextCursor);
      cursor = nextCursor;
    }
    throw this.#failed(kind, 'lists items without end');
  }

  #failed(kind: ListKind, what: string): GatewayError {
    const server = this.#channel.upstream.name;
    return new GatewayError('upstream_failed', `The server '${server}' ${what} (${listMethods[kind]}).`, {
      reason: 'server_list_failed',
      details: { server },
    });
  }
}

function ttlOf(frame: ResponseFrame): number | undefined {
  const span = frame.result?.members?.get('ttlMs');
  const ttlMs = span ? Number(rawText(frame.bytes, span)) : Number.NaN;
  return Number.isFinite(ttlMs) ? Math.max(0, ttlMs) : undefined;
}

function shorter(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
