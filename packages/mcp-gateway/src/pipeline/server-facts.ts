import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { hasTasks, type ServerHello, serverCapabilitiesFor } from '../domain/capabilities.ts';
import { type Era, eraOf } from '../domain/protocol-versions.ts';
import type { ChannelOwner, Upstream } from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { gatewayHello } from './gateway-identity.ts';

type Fact =
  | { readonly status: 'asking'; readonly answer: Promise<ServerHello | undefined> }
  | { readonly status: 'known'; readonly hellos: Readonly<Partial<Record<Era, ServerHello>>> }
  | { readonly status: 'down'; readonly untilMs: number };

/** A server that could not be reached is asked again at the next need after this. */
const downMs = 10_000;

const silentOwner: ChannelOwner = {
  onNotification: () => {},
  onRequest: () => {},
  onOpened: () => {},
  onLost: () => {},
  needs: () => false,
};

/**
 * What each server said about itself, so that `initialize` can be answered at once and honestly without starting every
 * server for every session: asked once with a conversation that is closed again, refreshed by every later handshake.
 */
export class ServerFacts {
  readonly #facts = new WeakMap<Upstream, Fact>();
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * What it says to clients of this era, or of the other when that is all it speaks. `undefined` when the server cannot be reached, or did not
   * answer before the signal.
   */
  async hello(upstream: Upstream, era: Era, signal: StopSignal): Promise<ServerHello | undefined> {
    const fact = this.#facts.get(upstream);
    if (fact?.status === 'known') return helloFor(fact.hellos, era);
    if (fact?.status === 'down' && fact.untilMs > this.#clock.monotonic()) return undefined;
    const answer = fact?.status === 'asking' ? fact.answer : this.#ask(upstream);
    return withSignal(answer, signal).catch(() => undefined);
  }

  /** Whether a server that was reached carries tasks for clients of this era. */
  haveTasks(upstreams: readonly Upstream[], era: Era): boolean {
    return upstreams.some(upstream => {
      const fact = this.#facts.get(upstream);
      const isShared = upstream.policy.sharing === 'shared';
      const hello = fact?.status === 'known' ? helloFor(fact.hellos, era) : undefined;
      return hello !== undefined && hasTasks(serverCapabilitiesFor(hello, era, isShared));
    });
  }

  /** `false` for a server that was reached and said that it has no resources. */
  mayHaveResources(upstream: Upstream | undefined): boolean {
    const fact = upstream && this.#facts.get(upstream);
    if (fact?.status !== 'known') return true;
    return Object.values(fact.hellos).some(({ capabilities }) => capabilities.resources !== undefined);
  }

  learn(upstream: Upstream, hello: ServerHello): void {
    const known = this.#facts.get(upstream);
    const others = upstream.hasBothEras && known?.status === 'known' ? known.hellos : {};
    this.#facts.set(upstream, {
      status: 'known',
      hellos: { ...others, [eraOf(hello.protocolVersion)]: hello },
    });
  }

  /** Asks the server now, in a conversation that is closed again. @throws GatewayError upstream_failed, timeout */
  async check(upstream: Upstream): Promise<ServerHello> {
    const channel = upstream.createChannel(gatewayHello, silentOwner);
    try {
      // The conversation has a time of its own, after that for its era: its error says more than that of a signal.
      const hello = await channel.ready(AbortSignal.timeout(upstream.policy.openTimeoutMs * 2));
      this.learn(upstream, hello);
      return hello;
    } finally {
      channel
        .close()
        .catch((error: unknown) =>
          this.#log.warn({ server: upstream.name, err: error }, 'server did not end'),
        );
    }
  }

  #ask(upstream: Upstream): Promise<ServerHello | undefined> {
    const answer = this.#handshake(upstream);
    this.#facts.set(upstream, { status: 'asking', answer });
    return answer;
  }

  async #handshake(upstream: Upstream): Promise<ServerHello | undefined> {
    try {
      const hello = await this.check(upstream);
      this.#log.info(
        { server: upstream.name, version: hello.protocolVersion, info: hello.serverInfo },
        'server is up',
      );
      return hello;
    } catch (error) {
      const { message, reason } = GatewayError.from(error);
      if (this.#facts.get(upstream)?.status === 'asking') {
        this.#facts.set(upstream, { status: 'down', untilMs: this.#clock.monotonic() + downMs });
      }
      this.#log.warn({ server: upstream.name, reason }, message);
      return undefined;
    }
  }
}

function helloFor(hellos: Readonly<Partial<Record<Era, ServerHello>>>, era: Era): ServerHello | undefined {
  return hellos[era] ?? hellos.modern ?? hellos.legacy;
}
