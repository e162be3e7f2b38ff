import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { eraOf, modernVersion } from '../domain/protocol-versions.ts';
import type { Channel, ChannelOwner, Upstream, UpstreamPolicy } from '../domain/upstream.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { AdaptiveChannel } from './adaptive-channel.ts';
import { UpstreamChannel } from './channel.ts';
import { Connection } from './connection.ts';
import { type Discovered, discover, UpstreamEra } from './era.ts';
import { ModernChannel } from './modern-channel.ts';
import type { TransportFactory } from './transport.ts';

export interface UpstreamOptions {
  readonly name: string;
  readonly policy: UpstreamPolicy;
  readonly factory: TransportFactory;
  readonly clock: Clock;
  readonly onStray: () => void;
  /** How the gateway presents itself when it asks a server which era it speaks. */
  readonly clientInfo: Readonly<Record<string, unknown>>;
}

/** One configured server over whatever transport its plugin made. */
export function createUpstream(options: UpstreamOptions): Upstream {
  const { name, policy, factory, clock, onStray } = options;
  const channels = new Set<Channel>();
  const era = new UpstreamEra(factory.era, () => clock.monotonic());
  const ask = () => askEra(options);
  const upstream: Upstream = {
    name,
    transport: factory.kind,
    policy,
    get hasBothEras() {
      return era.isBoth;
    },
    createChannel(hello: ClientHello, owner: ChannelOwner) {
      const common = { upstream, factory, hello, owner, clock, onStray };
      const channel = new AdaptiveChannel({
        upstream,
        era,
        clientEra: eraOf(hello.protocolVersion),
        ask,
        create: spoken =>
          spoken === 'modern' ? new ModernChannel({ ...common, era, ask }) : new UpstreamChannel(common),
      });
      channels.add(channel);
      const close = channel.close.bind(channel);
      channel.close = () => {
        channels.delete(channel);
        return close();
      };
      return channel;
    },
    async close() {
      await Promise.all([...channels].map(channel => channel.close()));
      await factory.close();
    },
  };
  return upstream;
}

/** Asks with a connection of its own that is closed again. */
async function askEra(options: UpstreamOptions): Promise<Discovered> {
  const { name, policy, factory, onStray, clientInfo } = options;
  const connection = new Connection(
    { server: name, maxResultBytes: policy.maxResultBytes, isShared: false },
    events => factory.create(events, 'modern'),
    { onNotification: () => {}, onRequest: () => {}, onStray, onClosed: () => {} },
  );
  const isPipe = factory.kind === 'pipe';
  const timeout = AbortSignal.timeout(isPipe ? policy.openTimeoutMs / 2 : policy.openTimeoutMs);
  const meta = {
    [hopMeta.protocolVersion]: modernVersion,
    [hopMeta.clientCapabilities]: {},
    [hopMeta.clientInfo]: clientInfo,
  };
  try {
    await connection.transport.start();
    const discovered = await discover(connection, meta, timeout);
    return isPipe && discovered.era === 'modern' ? { ...discovered, freshForMs: Infinity } : discovered;
  } catch (error) {
    if (isPipe && isNoAnswer(error, timeout)) return { era: 'legacy' };
    if (!timeout.aborted) throw error;
    throw new GatewayError(
      'timeout',
      `The server '${name}' did not answer the handshake within ${policy.openTimeoutMs} ms.`,
      { reason: 'server_open_timeout', details: { server: name }, cause: error },
    );
  } finally {
    await connection.close(new GatewayError('cancelled', 'The question is answered.'));
  }
}

/** Servers with sessions may say nothing before `initialize`, or end at anything else (2026-07-28, "Versioning", stdio). */
function isNoAnswer(error: unknown, timeout: StopSignal): boolean {
  return timeout.aborted || (error instanceof GatewayError && error.reason === 'server_gone');
}
