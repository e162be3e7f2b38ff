import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ListKind } from '../domain/catalog.ts';
import type { Channel } from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { errorCodeOf } from '../wire/frame.ts';
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

/** What one conversation's server offers, read when it is needed and kept until the server says that it changed. */
export class ChannelLists {
  readonly #channel: Channel;
  readonly #loaded = new Map<ListKind, Promise<readonly ListedItem[]>>();

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** @throws GatewayError of the server, or the signal's reason */
  load(kind: ListKind, signal: AbortSignal): Promise<readonly ListedItem[]> {
    let loading = this.#loaded.get(kind);
    if (!loading) {
      loading = this.#read(kind);
      this.#loaded.set(kind, loading);
      const own = loading;
      own.catch(() => {
        if (this.#loaded.get(kind) === own) this.#loaded.delete(kind);
      });
    }
    return withSignal(loading, signal);
  }

  invalidate(kinds: readonly ListKind[]): void {
    for (const kind of kinds) this.#loaded.delete(kind);
  }

  invalidateAll(): void {
    this.#loaded.clear();
  }

  /** Every page of the list. Only the absence of `nextCursor` ends it: an empty page or cursor does not. */
  async #read(kind: ListKind): Promise<readonly ListedItem[]> {
    const { policy } = this.#channel.upstream;
    const signal = AbortSignal.timeout(policy.openTimeoutMs + policy.callTimeoutMs);
    const { capabilities } = await this.#channel.ready(signal);
    if (capabilities[capabilityOf[kind]] === undefined) return [];
    const items: ListedItem[] = [];
    const seen = new Set<string>();
    let cursor: string | undefined;
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
      const { items: more, nextCursor } = readListPage(frame, kind);
      items.push(...more);
      if (nextCursor === undefined) return items;
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
