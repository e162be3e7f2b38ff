import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { ownerOf } from './exposed-names.ts';
import { ModernPeer, type ModernWorld, type PeerIdentity } from './modern-peer.ts';

const tickEveryMs = 10_000;

/** The peers of this gateway process, each kept while it is used. */
export class ModernPeers {
  readonly #world: ModernWorld;
  readonly #peers = new Map<string, ModernPeer>();
  #timer: Scheduled;

  constructor(world: ModernWorld) {
    this.#world = world;
    this.#timer = world.clock.schedule(tickEveryMs, () => this.#tick());
  }

  get size(): number {
    return this.#peers.size;
  }

  /** @throws GatewayError overloaded (`too_many_sessions`) */
  of(identity: PeerIdentity): ModernPeer {
    const { caller, route, capabilities, clientInfo } = identity;
    const key = `${caller.tenant}\0${caller.principal}\0${route}\0${capabilities}\0${clientInfo}`;
    const known = this.#peers.get(key);
    const peer = known ?? this.#make(key, identity);
    peer.usedAtMs = this.#world.clock.monotonic();
    return peer;
  }

  /** Streams that stay open would hold up the drain. */
  endListening(): void {
    for (const peer of this.#peers.values()) for (const each of [...peer.listeners]) each.onDraining();
  }

  all(): Iterable<ModernPeer> {
    return this.#peers.values();
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await Promise.all([...this.#peers.values()].map(peer => peer.close()));
  }

  #make(key: string, identity: PeerIdentity): ModernPeer {
    this.#makeRoom(identity.caller);
    const peer = new ModernPeer(key, identity, this.#world);
    this.#peers.set(key, peer);
    return peer;
  }

  /** A client that says something else about itself each time does not push out others: its own oldest quiet one goes. */
  #makeRoom(caller: Caller): void {
    const { max, maxPerPrincipal } = this.#world.settings().sessions;
    const own = [...this.#peers].filter(([, peer]) => peer.principal === ownerOf(caller));
    if (this.#peers.size < max && own.length < maxPerPrincipal) return;
    const quiet = own.filter(([, peer]) => !peer.isBusy).sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs)[0];
    if (!quiet) throw tooMany();
    this.#drop(...quiet);
  }

  #tick(): void {
    const { idleMs } = this.#world.settings().sessions;
    const nowMs = this.#world.clock.monotonic();
    for (const [key, peer] of this.#peers) {
      if (!peer.isBusy && nowMs - peer.usedAtMs > idleMs) this.#drop(key, peer);
    }
    this.#timer = this.#world.clock.schedule(tickEveryMs, () => this.#tick());
  }

  #drop(key: string, peer: ModernPeer): void {
    this.#peers.delete(key);
    peer.close().catch((error: unknown) => {
      this.#world.log.warn({ client: peer.tag, err: error }, 'conversations did not end well');
    });
  }
}

function tooMany(): GatewayError {
  return new GatewayError('overloaded', 'There are too many clients.', {
    reason: 'too_many_sessions',
    retryAfterMs: 1000,
  });
}
