import type { Clock } from '@strata/shared/clock.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import type { Channel, ChannelOwner, Upstream, UpstreamPolicy } from '../domain/upstream.ts';
import { UpstreamChannel } from './channel.ts';
import type { TransportFactory } from './transport.ts';

/** One configured server over whatever transport its plugin made. */
export function createUpstream(options: {
  readonly name: string;
  readonly policy: UpstreamPolicy;
  readonly factory: TransportFactory;
  readonly clock: Clock;
  readonly onStray: () => void;
}): Upstream {
  const { name, policy, factory, clock, onStray } = options;
  const channels = new Set<Channel>();
  const upstream: Upstream = {
    name,
    transport: factory.kind,
    policy,
    createChannel(hello: ClientHello, owner: ChannelOwner) {
      const channel = new UpstreamChannel({ upstream, factory, hello, owner, clock, onStray });
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
