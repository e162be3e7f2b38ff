import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { NotificationFrame, ResponseFrame } from '../domain/frame.ts';
import type { CallEvents, Channel, ForwardedCall, ForwardedHandle } from '../domain/upstream.ts';
import { errorCodeOf, idKey, parseFrame, rawText } from '../wire/frame.ts';
import { requestHeaders } from '../wire/modern/headers.ts';
import { inputRequestsOf, isInputRequired, requestStateOf } from '../wire/modern/input-required.ts';
import { isModernCode } from '../wire/modern/meta.ts';
import { renderNotification } from '../wire/render.ts';
import { asUrlRequired } from '../wire/url-elicitation.ts';
import type { Connection, Pending } from './connection.ts';
import { inputRefused } from './input-errors.ts';

export interface ModernCallOptions {
  readonly channel: Channel;
  readonly connection: Connection;
  readonly meta: Readonly<Record<string, string>>;
  readonly onOver: () => void;
  /**
   * Where the client opens pages and makes its call again by itself (2025-11-25): takes what that call has to go on with. Otherwise it is asked.
   */
  readonly onPages: ((goOnWith: Readonly<Record<string, string>>) => void) | undefined;
  /** A question that nobody has to answer any more, as the notification of a server that takes it back. */
  readonly onWithdrawn: (frame: NotificationFrame) => void;
}

/** Rounds of questions that one call may take (2026-07-28, "Multi Round-Trip Requests" leaves the number to the client). */
const maxRounds = 16;

let callCount = 0;

/**
 * One call to a server of the revision 2026-07-28. Where the client cannot be answered `input_required`, the questions in
 * such an answer go to it as requests, and the call is made again with what it answered and the state the server wants back.
 */
export class ModernCall implements Pending, ForwardedHandle {
  readonly isForwarded = true;
  readonly #call: ForwardedCall;
  readonly #events: CallEvents;
  readonly #options: ModernCallOptions;
  readonly #tag = ++callCount;
  readonly #asked = new Map<string, string>();
  readonly #answers = new Map<string, string>();
  #state: string | undefined;
  #round = 0;
  #id = 0;
  #isOver = false;

  constructor(call: ForwardedCall, events: CallEvents, options: ModernCallOptions) {
    this.#call = call;
    this.#events = events;
    this.#options = options;
  }

  start(params?: Readonly<Record<string, string>>): void {
    const call = this.#call;
    const { connection, meta } = this.#options;
    this.#id = connection.send(
      id => call.render(id, params === undefined ? { meta } : { meta, params }),
      this,
      requestHeaders(call.method, call.name, call.paramHeaders),
    );
  }

  get progressToken(): string | undefined {
    return this.#call.progressToken;
  }

  onNotification(method: string, bytes: Buffer): void {
    this.#events.onNotification(method, bytes);
  }

  /** Servers of this era ask in answers. */
  onRequest(): void {}

  onFailure(error: GatewayError): void {
    this.#end(() => this.#events.onFailure(error));
  }

  /** There are no sessions in this era. */
  onSessionLost(): void {}

  cancel(reason: string): void {
    if (this.#isOver) return;
    this.#end(() => {});
    const { connection } = this.#options;
    if (!connection.abandon(this.#id)) return;
    connection.transport.send(
      renderNotification('notifications/cancelled', { requestId: this.#id, reason }),
      undefined,
    );
  }

  /** The client's answer to a question. `false` when it was not asked here. */
  take(frame: ResponseFrame): boolean {
    const id = idKey(frame.bytes, frame.id)?.slice(2) ?? '';
    const key = this.#asked.get(id);
    if (key === undefined) return false;
    this.#asked.delete(id);
    if (!frame.result) {
      this.onFailure(inputRefused(errorCodeOf(frame)));
      return true;
    }
    this.#answers.set(key, rawText(frame.bytes, frame.result));
    if (this.#asked.size === 0) this.#repeat();
    return true;
  }

  onAnswer(frame: ResponseFrame): void {
    const code = errorCodeOf(frame);
    if (code !== undefined && isModernCode(code) && code !== -32021) {
      this.onFailure(disagreement(this.#options.channel.upstream.name, code));
    } else if (this.#call.takesInputRequired || !isInputRequired(frame)) {
      this.#end(() => this.#events.onAnswer(frame));
    } else {
      this.#askClient(frame);
    }
  }

  #askClient(frame: ResponseFrame): void {
    const { channel } = this.#options;
    const requests = inputRequestsOf(frame);
    if (!requests || ++this.#round > maxRounds) {
      this.onFailure(noProgress(channel.upstream.name));
      return;
    }
    this.#state = requestStateOf(frame);
    this.#answers.clear();
    const pages = this.#options.onPages && asUrlRequired(frame, requests, () => randomText(20));
    if (pages) {
      const inputResponses = requests.map(({ key }) => `${JSON.stringify(key)}:{"action":"accept"}`);
      this.#options.onPages?.({ inputResponses: `{${inputResponses.join(',')}}`, ...this.#stateParam() });
      this.#end(() => this.#events.onAnswer(pages));
      return;
    }
    const questions = requests.map(({ key, request }) => {
      const id = `${this.#tag}.${this.#round}.${key}`;
      this.#asked.set(id, key);
      return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},${request.slice(1)}`;
    });
    if (questions.length === 0) this.#repeat();
    for (const question of questions) {
      const parsed = parseFrame(Buffer.from(question));
      if (this.#isOver) return;
      if (parsed.kind === 'request') this.#events.onRequest(channel, parsed);
      else this.onFailure(noProgress(channel.upstream.name));
    }
  }

  #repeat(): void {
    const answers = [...this.#answers].map(([key, value]) => `${JSON.stringify(key)}:${value}`);
    this.start({
      inputResponses: `{${answers.join(',')}}`,
      ...this.#stateParam(),
    });
  }

  #stateParam(): { readonly requestState?: string } {
    return this.#state === undefined ? {} : { requestState: this.#state };
  }

  #end(report: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onOver();
    for (const id of this.#asked.keys()) this.#withdraw(id);
    this.#asked.clear();
    report();
  }

  #withdraw(id: string): void {
    const frame = parseFrame(renderNotification('notifications/cancelled', { requestId: id }));
    if (frame.kind === 'notification') this.#options.onWithdrawn(frame);
  }
}

function noProgress(server: string): GatewayError {
  return new GatewayError('upstream_failed', `The server '${server}' asks without end or not validly.`, {
    reason: 'server_input_invalid',
    details: { server },
  });
}

/** The server finds fault with what the gateway itself put into the message: nothing the client could do about it. */
function disagreement(server: string, code: number): GatewayError {
  return new GatewayError('upstream_failed', `The server '${server}' refused the message (${code}).`, {
    reason: 'server_refused',
    details: { server, code },
  });
}
