import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { ClientHello, ServerHello } from './capabilities.ts';
import type { NotificationFrame, RequestFrame, ResponseFrame } from './frame.ts';

/** What the operator decided about one tool server. */
export interface UpstreamPolicy {
  /** `session`: each client session has its own conversation with the server; `shared`: all share one. */
  readonly sharing: 'session' | 'shared';
  /** Whether names are shown without the `server__` prefix. */
  readonly hasPlainNames: boolean;
  readonly callTimeoutMs: number;
  /** Per tool, by the server's own name for it; overrides `callTimeoutMs`. */
  readonly toolTimeoutsMs: Readonly<Record<string, number>>;
  readonly openTimeoutMs: number;
  readonly maxResultBytes: number;
  /** Globs over the server's own names: tools that may be called again when a call was lost under way. */
  readonly retryTools: readonly string[];
  /** Whether a tool that calls itself read-only or idempotent counts as one. */
  readonly trustsAnnotations: boolean;
  /** The first that matches a tool counts; so with prices. */
  readonly toolLimits: readonly ToolLimit[];
  readonly toolPrices: readonly ToolPrice[];
  /** Of resources that are offered and read; undefined: all. */
  readonly uriSchemes: readonly string[] | undefined;
}

export interface ToolLimit {
  /** A glob over the server's own names. */
  readonly tools: string;
  /** Calls at a time, of all callers. */
  readonly concurrent: number | undefined;
  /** Calls a minute, of one principal. */
  readonly perMinute: number | undefined;
}

export interface ToolPrice {
  readonly tools: string;
  readonly nanoUsd: bigint;
  /** Names this price for good ($-2). */
  readonly version: string;
}

/** One configured tool server. */
export interface Upstream {
  readonly name: string;
  readonly transport: 'pipe' | 'tcp';
  readonly policy: UpstreamPolicy;
  /** Whether it speaks both eras, each to the clients of that era. */
  readonly hasBothEras: boolean;
  /** A conversation, opened at its first `ready()`. Whoever asks for it closes it. Of a server that was closed it is over from the start. */
  createChannel(hello: ClientHello, owner: ChannelOwner): Channel;
  /** Ends every conversation and whatever runs for it. */
  close(): Promise<void>;
}

/**
 * One conversation with a tool server: opened and initialised when it is needed, again after it was lost. It has its
 * own ids, so nothing a client chooses is ever a key here.
 */
export interface Channel {
  readonly upstream: Upstream;
  /** Whether a call can be passed on at once, without `ready`. */
  readonly isReady: boolean;
  /** Opens the conversation if it is not open; all who wait share one attempt. @throws GatewayError upstream_failed, timeout */
  ready(signal: StopSignal): Promise<ServerHello>;
  /** Passes a call on and reports until exactly one of `onAnswer` and `onFailure`. Open the channel first. */
  forward(call: ForwardedCall, events: CallEvents): ForwardedHandle;
  /**
   * A request of the gateway's own, opening the channel if needed. `resources/subscribe`, `resources/unsubscribe` and
   * `logging/setLevel` work in both eras. @throws GatewayError
   */
  ask(method: string, params: Readonly<Record<string, unknown>>, signal: StopSignal): Promise<ResponseFrame>;
  /** Sends a notification or the answer to a server's request. Dropped when the conversation is gone. */
  tell(bytes: Buffer): void;
  /**
   * Whether somebody wants to hear about changes of lists. Servers with sessions tell them anyway; resolves when another one
   * has confirmed it, or could not be asked.
   */
  watchLists(isWatching: boolean): Promise<void>;
  /**
   * Whether somebody wants to hear how a task goes on (SEP-2663). `true` when the server tells it; a server with sessions does so, if at all,
   * unasked. Never rejects.
   */
  watchTask(taskId: string, isWatching: boolean): Promise<boolean>;
  /** Calls that are under way fail with the reason; nothing opens it again. */
  close(reason?: GatewayError): Promise<void>;
}

/** What a server's era wants in a request: raw JSON by key. Hop-by-hop members of `_meta` that are not named are taken out. */
export interface MessageForm {
  readonly meta?: Readonly<Record<string, string>>;
  readonly params?: Readonly<Record<string, string>>;
}

/** A client's call on its way to a server. */
export interface ForwardedCall {
  readonly method: string;
  /** What is called or read, as the server names it. */
  readonly name: string | undefined;
  /** Headers that repeat arguments (2026-07-28, `x-mcp-header`). */
  readonly paramHeaders: Readonly<Record<string, string>>;
  /** The client's log level for this call as raw JSON, where it named one. */
  readonly logLevel: string | undefined;
  /** Whether the client takes `input_required` as an answer; otherwise its questions come to `onRequest`. */
  readonly takesInputRequired: boolean;
  /** Whether the client came back and did not do what was asked of it. */
  readonly isInputRefused: boolean;
  /** Equal for calls that ask for the same. */
  digest(): string;
  /** The message to send, under the id the channel gave it. May be asked for again when the server lost the session. */
  render(id: number, form: MessageForm): Buffer;
  /** The client's progress token as raw JSON; notifications come back with it. */
  readonly progressToken: string | undefined;
}

/** What becomes of a call that was passed on. */
export interface CallEvents {
  /** One line of JSON, ready to be passed on. */
  onNotification(method: string, bytes: Buffer): void;
  onRequest(channel: Channel, frame: RequestFrame): void;
  /** The server has closed the stream of the call in order, to go on with it later. */
  onPaused(): void;
  onAnswer(frame: ResponseFrame): void;
  onFailure(error: GatewayError): void;
}

export interface ForwardedHandle {
  /**
   * Gives up: the server is told, and nothing is reported any more. A server that is `suspect`, because it was too slow,
   * is asked for a sign of life, and without one the conversation is opened anew.
   */
  cancel(reason: string, isSuspect: boolean): void;
}

/** Who hears what belongs to no call. */
export interface ChannelOwner {
  onNotification(channel: Channel, frame: NotificationFrame): void;
  onRequest(channel: Channel, frame: RequestFrame): void;
  /** After every successful handshake, before anything else is sent. */
  onOpened(channel: Channel, hello: ServerHello): void;
  onLost(channel: Channel, error: GatewayError): void;
  /** Whether a lost conversation should be opened again before anybody calls: there are subscriptions on it. */
  needs(channel: Channel): boolean;
}
