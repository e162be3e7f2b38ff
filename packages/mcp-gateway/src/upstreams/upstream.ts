import type { Clock } from '@strata/shared/clock.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { eraOf } from '../domain/protocol-versions.ts';
import type { Channel, ChannelOwner, Upstream } from '../domain/upstream.ts';
import { AdaptiveChannel } from './adaptive-channel.ts';
import { UpstreamChannel } from './channel.ts';
import { serverRemoved } from './channel-ends.ts';
import { UpstreamEra } from './era.ts';
import { type AskedServer, eraQuestions } from './era-questions.ts';
import { ModernChannel } from './modern-channel.ts';

export interface UpstreamOptions extends AskedServer {
  readonly clock: Clock;
}

/** One configured server over whatever transport its plugin made. */
export function createUpstream(options: UpstreamOptions): Upstream {
  const { name, policy, factory, clock, onStray } = options;
  const channels = new Set<Channel>();
  const era = new UpstreamEra(factory.era, () => clock.monotonic());
  const questions = eraQuestions(options);
  let isClosed = false;
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
        questions,
        create: spoken =>
          spoken === 'modern'
            ? new ModernChannel({ ...common, era, ask: questions.ask })
            : new UpstreamChannel(common),
      });
      channels.add(channel);
      const close = channel.close.bind(channel);
      channel.close = reason => {
        channels.delete(channel);
        return close(reason);
      };
      if (isClosed) void channel.close(serverRemoved(name)); // nothing is open yet
      return channel;
    },
    async close() {
      isClosed = true;
      await Promise.all([...channels].map(channel => channel.close(serverRemoved(name))));
      await factory.close();
    },
  };
  return upstream;
}
