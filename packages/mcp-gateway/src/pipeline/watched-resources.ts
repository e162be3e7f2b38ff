import type { Upstream } from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { mayHearOf } from './may-call.ts';
import type { HeldResource } from './modern-peer.ts';
import type { WatchOptions } from './watch-options.ts';

/** As many are asked for at a time: a server with sessions gets a request for each. */
const maxAtOnce = 16;

/** Resources that one listener hears of, by the URIs that its client knows. */
export class WatchedResources {
  readonly #options: WatchOptions;
  readonly #confirmMs: number;
  readonly #resources = new Map<string, HeldResource>();

  constructor(options: WatchOptions, confirmMs: number) {
    this.#options = options;
    this.#confirmMs = confirmMs;
  }

  /** What the client calls this resource, once for each that it watches and this is or is part of. */
  *namesFor(server: string, uri: string): Iterable<string> {
    for (const [exposed, watched] of this.#resources) {
      if (watched.upstream.name !== server || !uri.startsWith(watched.uri)) continue;
      yield uri === watched.uri ? exposed : this.#options.peer.catalog.routes.expose(server, uri);
    }
  }

  /** Whether one of these servers tells any. */
  areOf(upstreams: ReadonlySet<Upstream>): boolean {
    return [...this.#resources.values()].some(({ upstream }) => upstreams.has(upstream));
  }

  /** Resolves with those that their servers confirm in time, in the order they are asked. Never rejects. */
  async watch(asked: readonly string[]): Promise<string[]> {
    const late = AbortSignal.timeout(this.#confirmMs);
    const waiting = [...asked];
    const watchSome = async () => {
      for (let next = waiting.shift(); next !== undefined && !late.aborted; next = waiting.shift())
        await this.#watch(next, late);
    };
    await Promise.all(Array.from({ length: Math.min(maxAtOnce, asked.length) }, watchSome));
    return asked.filter(exposed => this.#resources.has(exposed));
  }

  stop(): void {
    for (const exposed of [...this.#resources.keys()]) this.#forget(exposed);
  }

  async #watch(exposed: string, late: AbortSignal): Promise<void> {
    const { peer } = this.#options;
    const resource = await withSignal(this.#find(exposed), late).catch(() => undefined);
    if (resource === undefined) return;
    this.#resources.set(exposed, resource); // what is told together with the confirmation is heard as well
    const isTold = await withSignal(peer.holdResource(resource, resource), late).catch(() => false);
    if (!isTold) this.#forget(exposed);
  }

  async #find(exposed: string): Promise<HeldResource | undefined> {
    const { peer, directory, caller, signal } = this.#options;
    const resolved = await peer.catalog.resolveUri(exposed, caller.scopes.tools, signal);
    const upstream = resolved && directory.get(resolved.server);
    if (!upstream || !mayHearOf(this.#options, upstream, 'resources/subscribe')) return undefined;
    return { upstream, uri: resolved.uri };
  }

  #forget(exposed: string): void {
    const resource = this.#resources.get(exposed);
    if (resource === undefined) return;
    this.#resources.delete(exposed);
    this.#options.peer.releaseResource(resource, resource);
  }
}
