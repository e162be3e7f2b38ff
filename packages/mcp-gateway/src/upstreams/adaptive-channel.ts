import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { ServerHello } from '../domain/capabilities.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { Era } from '../domain/protocol-versions.ts';
import type { CallEvents, Channel, ForwardedCall, ForwardedHandle, Upstream } from '../domain/upstream.ts';
import { isModernCode } from '../wire/modern/meta.ts';
import { sessionClosed } from './channel-ends.ts';
import type { EraQuestions, UpstreamEra } from './era.ts';

export interface AdaptiveChannelOptions {
  readonly upstream: Upstream;
  readonly era: UpstreamEra;
  readonly clientEra: Era;
  readonly questions: EraQuestions;
  readonly create: (era: Era) => Channel;
}

/** Ways a server answers that mean: it does not speak as we thought. */
const contradictions = new Set(['server_refused', 'server_handshake_failed', 'server_message_invalid']);

/** A conversation in whichever era the server speaks, found out when it is first needed and again when that turns out wrong. */
export class AdaptiveChannel implements Channel {
  readonly upstream: Upstream;
  readonly #options: AdaptiveChannelOptions;
  #current: { readonly era: Era; readonly channel: Channel } | undefined;
  #isWatching = false;
  #isDoubtful = false;
  /** Why it is over. */
  #ended: GatewayError | undefined;

  constructor(options: AdaptiveChannelOptions) {
    this.upstream = options.upstream;
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#ended === undefined && !this.#isDoubtful && this.#current?.channel.isReady === true;
  }

  async ready(signal: StopSignal): Promise<ServerHello> {
    try {
      return await (await this.#channel()).ready(signal);
    } catch (error) {
      const isContradiction = error instanceof GatewayError && contradictions.has(error.reason);
      if (!isContradiction || this.#options.era.isPinned) throw error;
      const { era } = this.#current ?? {};
      this.#isDoubtful = true;
      const channel = await this.#channel();
      if (this.#current?.era === era) throw error;
      return channel.ready(signal);
    }
  }

  forward(call: ForwardedCall, events: CallEvents): ForwardedHandle {
    const { channel } = this.#current ?? {};
    if (!channel) {
      events.onFailure(this.#ended ?? sessionClosed());
      return { cancel: () => {} };
    }
    if (!this.#mayContradict) return channel.forward(call, events);
    return channel.forward(call, {
      onNotification: (method, bytes) => events.onNotification(method, bytes),
      onRequest: (asking, frame) => events.onRequest(asking, frame),
      onPaused: () => events.onPaused(),
      onAnswer: frame => events.onAnswer(frame),
      onFailure: error => {
        if (this.#isContradiction(error)) this.#isDoubtful = true;
        events.onFailure(error);
      },
    });
  }

  async ask(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal: StopSignal,
  ): Promise<ResponseFrame> {
    await this.ready(signal);
    return (await this.#channel()).ask(method, params, signal);
  }

  tell(bytes: Buffer): void {
    this.#current?.channel.tell(bytes);
  }

  async watchLists(isWatching: boolean): Promise<void> {
    this.#isWatching = isWatching;
    await this.#current?.channel.watchLists(isWatching);
  }

  async watchTask(taskId: string, isWatching: boolean): Promise<boolean> {
    return (await this.#current?.channel.watchTask(taskId, isWatching)) ?? false;
  }

  async close(reason = sessionClosed()): Promise<void> {
    this.#ended ??= reason;
    await this.#current?.channel.close(reason);
  }

  async #channel(): Promise<Channel> {
    const { era, clientEra, questions, create } = this.#options;
    if (this.#ended) throw this.#ended;
    if (this.#current && !this.#isDoubtful) return this.#current.channel;
    if (this.#isDoubtful) era.forget();
    this.#isDoubtful = false;
    const spoken = await era.decideFor(clientEra, questions);
    if (this.#ended) throw this.#ended;
    if (this.#current?.era === spoken) return this.#current.channel;
    this.#current?.channel.close().catch(() => {}); // it speaks what the server does not, whatever its goodbye came to
    this.#current = { era: spoken, channel: create(spoken) };
    void this.#current.channel.watchLists(this.#isWatching); // never rejects
    return this.#current.channel;
  }

  /** Whether a failure can mean that the server does not speak as was found out. */
  get #mayContradict(): boolean {
    return this.#current?.era === 'modern' && !this.#options.era.isPinned;
  }

  /** An answer of the transport that a server of the new era would have put into words. */
  #isContradiction(error: GatewayError): boolean {
    const code = error.details?.code;
    const isWordOfEra = typeof code === 'number' && isModernCode(code);
    return this.#mayContradict && error.reason === 'server_refused' && !isWordOfEra;
  }
}
