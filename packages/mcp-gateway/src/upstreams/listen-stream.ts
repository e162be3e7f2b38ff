import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { isObject, type JsonObject } from '../domain/capabilities.ts';
import { decodeParams, parseFrame } from '../wire/frame.ts';
import { requestHeaders } from '../wire/modern/headers.ts';
import { textsIn } from '../wire/modern/subscription.ts';
import { renderNotification, renderRequest } from '../wire/render.ts';
import type { Connection } from './connection.ts';

export interface ListenStreamOptions {
  readonly clock: Clock;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly connection: () => Connection;
  /** Opens the conversation again after the server ended. */
  readonly reopen: () => Promise<unknown>;
  /** The stream was lost and is back: what happened meanwhile was not told. */
  readonly onReturned: () => void;
}

const firstRetryMs = 500;
const maxRetryMs = 30_000;

/** What a server confirmed, of what it was asked to tell. */
interface Honoured {
  readonly uris: ReadonlySet<string>;
  readonly tasks: ReadonlySet<string>;
}

const nothing: Honoured = { uris: new Set(), tasks: new Set() };

interface Open {
  readonly connection: Connection;
  readonly id: number;
}

/**
 * The one `subscriptions/listen` request of a conversation, made for everything that is wanted at the moment: a new one
 * takes the place of the old when that changes, and the old one ends when the new one is acknowledged, so nothing is missed
 * in between.
 */
export class ListenStream {
  readonly #options: ListenStreamOptions;
  readonly #uris = new Set<string>();
  readonly #tasks = new Set<string>();
  #capabilities: JsonObject = {};
  #isWatching = false;
  #isStarted = false;
  #isClosed = false;
  #isLost = false;
  #open: Open | undefined;
  #honoured = nothing;
  #renewing: Promise<void> = Promise.resolve();
  /** The renewal that has not begun. */
  #next: Promise<void> | undefined;

  constructor(options: ListenStreamOptions) {
    this.#options = options;
  }

  /** The conversation is open: from now on what is wanted is asked for. */
  start(capabilities: JsonObject): void {
    this.#capabilities = capabilities;
    if (this.#isStarted && this.#open) return;
    this.#isStarted = true;
    if (this.#isWanted()) void this.#renewSoon();
  }

  async watchLists(isWatching: boolean): Promise<void> {
    if (this.#isWatching === isWatching) return;
    this.#isWatching = isWatching;
    if (this.#isStarted) await this.#renewSoon();
  }

  /** Resolves when the server has confirmed it. @throws GatewayError when it does not honour it, or could not be asked */
  async subscribe(uri: string): Promise<void> {
    const wasWanted = this.#uris.has(uri);
    if (wasWanted && this.#honoured.uris.has(uri)) return;
    this.#uris.add(uri);
    try {
      await this.#renew();
    } catch (error) {
      if (!wasWanted) this.#uris.delete(uri);
      throw error;
    }
    if (this.#honoured.uris.has(uri)) return;
    this.#uris.delete(uri);
    throw new GatewayError('not_implemented', 'The server does not tell updates of this resource.', {
      reason: 'subscription_not_honoured',
    });
  }

  unsubscribe(uri: string): void {
    if (this.#uris.delete(uri)) void this.#renewSoon();
  }

  /** Resolves with whether the server tells how the task goes on. Never rejects. */
  async watchTask(taskId: string, isWatching: boolean): Promise<boolean> {
    if (!isWatching) {
      if (this.#tasks.delete(taskId)) void this.#renewSoon();
      return false;
    }
    if (this.#tasks.has(taskId) && this.#honoured.tasks.has(taskId)) return true;
    this.#tasks.add(taskId);
    await this.#renew().catch(() => {}); // then it is not honoured
    const isHonoured = this.#honoured.tasks.has(taskId);
    if (!isHonoured) this.#tasks.delete(taskId);
    return isHonoured;
  }

  close(): void {
    this.#isClosed = true;
    this.#leave(this.#open);
    this.#open = undefined;
  }

  #isWanted(): boolean {
    return Object.keys(this.#filter()).length > 0;
  }

  #filter(): Record<string, unknown> {
    const tells = (name: string) => {
      const capability = this.#capabilities[name];
      return this.#isWatching && isObject(capability) && capability.listChanged === true;
    };
    return {
      ...(tells('tools') && { toolsListChanged: true }),
      ...(tells('prompts') && { promptsListChanged: true }),
      ...(tells('resources') && { resourcesListChanged: true }),
      ...(this.#uris.size > 0 && { resourceSubscriptions: [...this.#uris] }),
      ...(this.#tasks.size > 0 && { taskIds: [...this.#tasks] }),
    };
  }

  /** Never rejects: what fails is tried again later. */
  #renewSoon(): Promise<void> {
    return this.#renew().catch(() => this.#retry(firstRetryMs));
  }

  /** One after the other; the next takes all that is wanted when its turn comes, so there is never more than one. */
  #renew(): Promise<void> {
    if (this.#next) return this.#next;
    const next = this.#renewing.then(() => {
      this.#next = undefined;
      return this.#renewNow();
    });
    this.#next = next;
    this.#renewing = next.catch(() => {});
    return next;
  }

  async #renewNow(): Promise<void> {
    if (this.#isClosed) return;
    const before = this.#open;
    if (!this.#isWanted()) {
      this.#open = undefined;
      this.#honoured = nothing;
      this.#leave(before);
      return;
    }
    const { open, honoured } = await this.#request();
    this.#open = open;
    this.#honoured = honoured;
    this.#leave(before);
    if (this.#isClosed) this.#leave(open);
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#options.onReturned();
  }

  #request(): Promise<{ open: Open; honoured: Honoured }> {
    const connection = this.#options.connection();
    const { meta } = this.#options;
    const params = { _meta: meta, notifications: this.#filter() };
    return new Promise((resolve, reject) => {
      let id = 0;
      const onEnd = () => {
        reject(ended());
        if (this.#open?.id === id && this.#open.connection === connection) this.#onLost();
      };
      id = connection.send(
        own => renderRequest(own, 'subscriptions/listen', params),
        {
          progressToken: undefined,
          isForwarded: false,
          onNotification: (method, bytes) => {
            if (method !== 'notifications/subscriptions/acknowledged') return;
            resolve({ open: { connection, id }, honoured: honouredIn(bytes) });
          },
          onRequest: () => {},
          onAnswer: onEnd,
          onFailure: onEnd,
          onSessionLost: onEnd,
        },
        requestHeaders('subscriptions/listen', undefined),
      );
    });
  }

  #onLost(): void {
    this.#open = undefined;
    this.#isLost = true;
    if (!this.#isClosed) this.#retry(firstRetryMs);
  }

  #retry(delayMs: number): void {
    if (this.#isClosed || !this.#isWanted()) return;
    this.#options.clock.schedule(delayMs, () => {
      if (this.#isClosed || this.#open) return;
      // Changes of lists are worth no process; who uses the server again hears of them.
      const isNeeded = this.#uris.size + this.#tasks.size > 0;
      (isNeeded ? this.#options.reopen().then(() => this.#renew()) : this.#renew()).catch(() =>
        this.#retry(Math.min(maxRetryMs, delayMs * 2)),
      );
    });
  }

  #leave(open: Open | undefined): void {
    if (!open?.connection.abandon(open.id)) return;
    // Over HTTP the response is left, and that is all; on a pipe it has to be said.
    open.connection.transport.send(
      renderNotification('notifications/cancelled', { requestId: open.id }),
      undefined,
    );
  }
}

function honouredIn(bytes: Buffer): Honoured {
  const frame = parseFrame(bytes);
  const notifications = frame.kind === 'notification' ? decodeParams(frame).notifications : undefined;
  const told = isObject(notifications) ? notifications : {};
  return { uris: textsIn(told.resourceSubscriptions), tasks: textsIn(told.taskIds) };
}

function ended(): GatewayError {
  return new GatewayError('upstream_failed', 'The server ended the stream of its changes.', {
    reason: 'server_stream_ended',
  });
}
