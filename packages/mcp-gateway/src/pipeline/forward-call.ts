import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { CallEvents, Channel, ForwardedCall, ForwardedHandle, MessageForm } from '../domain/upstream.ts';
import { renderForwarded } from '../wire/forward-request.ts';
import { parseFrame } from '../wire/frame.ts';
import { isInputRefused } from '../wire/modern/input-required.ts';
import { relatedTask } from '../wire/modern/meta.ts';
import type { ExposedNames } from '../wire/references.ts';
import { copySpan } from '../wire/render.ts';
import { digestOf } from '../wire/request-digest.ts';
import type { CallContext } from './call-context.ts';
import { withNames } from './exposed-names.ts';
import { refuse } from './reverse-requests.ts';

/** Messages about a call that a client can do without when it reads too slowly. */
const lossyMethods = new Set(['notifications/progress', 'notifications/message']);

/**
 * The last step of a call: to its server and back. Ends with the server's answer, with its failure, or with the reason of
 * the call's signal; in that case the server is told, and what it still sends is dropped.
 */
export function forwardCall(context: CallContext, again?: Again): Promise<ResponseFrame> {
  const channel = context.client.channels.channelOf(context.upstream);
  if (channel.isReady) return forwardOn(channel, context, again);
  return channel.ready(context.call.end).then(
    () => forwardOn(channel, context, again),
    (error: unknown) => again?.(context, error) ?? Promise.reject(error),
  );
}

/** What comes after a failure, where it is not the end. */
type Again = (context: CallContext, error: unknown) => Promise<ResponseFrame> | undefined;

function forwardOn(channel: Channel, context: CallContext, again: Again | undefined): Promise<ResponseFrame> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      const next = again?.(context, error);
      if (next === undefined) reject(error);
      else resolve(next);
    };
    new Forwarding(context, { resolve, fail }).start(channel);
  });
}

interface Outcome {
  resolve(answer: ResponseFrame): void;
  fail(reason: unknown): void;
}

/** A class, because it is made for every call: with accessors, or with a dozen closures, an object of its own form each time costs more than all it does. */
class Forwarding implements ForwardedCall, CallEvents {
  readonly #context: CallContext;
  readonly #outcome: Outcome;
  #handle: ForwardedHandle | undefined;

  constructor(context: CallContext, outcome: Outcome) {
    this.#context = context;
    this.#outcome = outcome;
  }

  /** @throws the reason of the call's signal */
  start(channel: Channel): void {
    const { end } = this.#context.call;
    end.throwIfAborted();
    end.addEventListener('abort', this);
    this.#handle = channel.forward(this, this);
  }

  /** Of the call's signal. */
  handleEvent(): void {
    const { reason } = this.#context.call.end;
    const isTimeout = reason instanceof GatewayError && reason.kind === 'timeout';
    this.#handle?.cancel('Nobody waits for the answer any more.', isTimeout);
    this.#outcome.fail(reason);
  }

  get method(): string {
    return this.#context.frame.method;
  }

  get name(): string | undefined {
    return this.#context.serverName;
  }

  get paramHeaders(): Readonly<Record<string, string>> {
    return this.#context.paramHeaders;
  }

  get logLevel(): string | undefined {
    const { logLevel } = this.#context.client;
    return logLevel === undefined ? undefined : JSON.stringify(logLevel);
  }

  get takesInputRequired(): boolean {
    return this.#context.client.era === 'modern';
  }

  get isInputRefused(): boolean {
    return isInputRefused(this.#context.frame);
  }

  get progressToken(): string | undefined {
    return this.#context.call.progressToken;
  }

  digest(): string {
    return digestOf(this.#context.frame);
  }

  render(id: number, form: MessageForm): Buffer {
    const { frame, edits: params, traceparent } = this.#context;
    return renderForwarded(frame, id, { params, traceparent, form });
  }

  onNotification(method: string, bytes: Buffer): void {
    const { client, call } = this.#context;
    if (!client.wants(method, bytes)) return;
    const isLossy = lossyMethods.has(method);
    const named = isLossy && !bytes.includes(relatedTask) ? { bytes } : namedIn(bytes, this.#names);
    if (named) client.sendFor(call, named.bytes, isLossy);
  }

  onRequest(asking: Channel, request: RequestFrame): void {
    const { client, call } = this.#context;
    const named = withNames(request, this.#names);
    if (named) client.ask(call, asking, named);
    else asking.tell(refuse(copySpan(request.bytes, request.id), -32602, 'The question is not valid.'));
  }

  onPaused(): void {
    this.#context.call.exchange.pause?.();
  }

  onAnswer(answer: ResponseFrame): void {
    this.#leave();
    this.#outcome.resolve(answer);
  }

  onFailure(error: GatewayError): void {
    this.#leave();
    this.#outcome.fail(error);
  }

  get #names(): ExposedNames {
    return this.#context.client.namesOf(this.#context.upstream.name);
  }

  #leave(): void {
    this.#context.call.end.removeEventListener('abort', this);
  }
}

function namedIn(bytes: Buffer, names: ExposedNames): { readonly bytes: Buffer } | undefined {
  const frame = parseFrame(bytes);
  return frame.kind === 'notification' ? withNames(frame, names) : undefined;
}
