import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { InputResponses, ParkedPlace, ParkedRun, Viewer } from './viewer.ts';

export interface ParkedRunsOptions {
  readonly hot: Hot;
  readonly clock: Clock;
  readonly log: Logger;
  /** This gateway process: where others send what belongs to runs that are parked here. */
  readonly instance: string;
}

/** To the process that holds a run. `ticket` names the HTTP request that waits. */
type ToOwner =
  | {
      readonly type: 'resume';
      readonly ticket: string;
      readonly from: string;
      readonly run: string;
      readonly round: number;
      readonly rawId: string;
      readonly progressToken: string | undefined;
      readonly canCarry: boolean;
      readonly responses: Readonly<Record<string, string>>;
    }
  | { readonly type: 'leave'; readonly ticket: string };

/** Back to the process whose client waits. */
type ToAsker =
  | { readonly type: 'alive' | 'unknown'; readonly ticket: string }
  | { readonly type: 'message'; readonly ticket: string; readonly text: string }
  | { readonly type: 'settled'; readonly ticket: string; readonly body: string; readonly status: number };

interface Asking {
  readonly viewer: Viewer;
  readonly finish: (error?: GatewayError) => void;
  silentTurns: number;
}

interface Hosted {
  readonly viewer: Viewer;
  readonly run: ParkedRun;
  settled: ToAsker | undefined;
}

const repeatMs = 1000;
/** Turns without a sign of life after which the owner counts as dead. */
const maxSilentTurns = 3;
const maxTickets = 10_000;
/** Calls of one principal that wait for its answers, or whose outcome is kept: each holds a conversation or a result. */
const maxOfOwner = 1000;

/**
 * The calls that wait for their clients, wherever the clients come back to: the process that holds the call goes on with
 * it, and another one that gets the retry talks to it through the hot store. A message between them may get lost, so the
 * asking side repeats itself until it has the outcome, and repeating changes nothing.
 */
export class ParkedRuns {
  readonly #options: ParkedRunsOptions;
  readonly #runs = new Map<string, ParkedRun>();
  readonly #asking = new Map<string, Asking>();
  readonly #hosted = new Map<string, Hosted>();
  #listening: Promise<() => Promise<void>> | undefined;

  constructor(options: ParkedRunsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#runs.size;
  }

  /** A run may be added again. @throws GatewayError rate_limited (`too_many_parked_calls`) */
  add(run: ParkedRun): void {
    if (!this.#runs.has(run.id)) this.#makeRoom(run.owner);
    this.#runs.set(run.id, run);
    this.#listen().catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'other replicas cannot reach the calls that are parked here'),
    );
  }

  /** Outcomes that wait for a retry go first, the oldest before the others. */
  #makeRoom(owner: string): void {
    const own = [...this.#runs.values()].filter(run => run.owner === owner);
    if (own.length < maxOfOwner) return;
    const settled = own.find(run => run.isSettled);
    if (!settled) throw tooManyParked();
    this.remove(settled);
  }

  remove(run: ParkedRun): void {
    this.#runs.delete(run.id);
    for (const [ticket, hosted] of this.#hosted) if (hosted.run === run) this.#hosted.delete(ticket);
  }

  /** Goes on with a parked call. @throws GatewayError when it is nowhere any more */
  async resume(
    place: ParkedPlace,
    responses: InputResponses,
    viewer: Viewer,
    gone: AbortSignal,
  ): Promise<void> {
    if (place.owner !== this.#options.instance) return this.#resumeElsewhere(place, responses, viewer, gone);
    const run = this.#runs.get(place.id);
    if (!run) throw runGone();
    gone.addEventListener('abort', () => run.leave(viewer), { once: true });
    run.resume(viewer, place.round, responses);
  }

  async close(): Promise<void> {
    const stop = await this.#listening?.catch(() => undefined);
    await stop?.();
  }

  async #resumeElsewhere(
    place: ParkedPlace,
    responses: InputResponses,
    viewer: Viewer,
    gone: AbortSignal,
  ): Promise<void> {
    await this.#listen();
    const { instance, clock } = this.#options;
    const ticket = `${instance}.${randomText(12)}`;
    const message: ToOwner = {
      type: 'resume',
      ticket,
      from: instance,
      run: place.id,
      round: place.round,
      rawId: viewer.rawId.toString(),
      progressToken: viewer.progressToken,
      canCarry: viewer.carrier.canCarryMessages,
      responses: Object.fromEntries(responses),
    };
    let timer: Scheduled | undefined;
    const repeat = () => {
      const asking = this.#asking.get(ticket);
      if (!asking) return;
      if (asking.silentTurns++ >= maxSilentTurns) {
        asking.finish(ownerGone());
        return;
      }
      this.#send(place.owner, message);
      timer = clock.schedule(repeatMs, repeat);
    };
    await new Promise<void>((resolve, reject) => {
      const onGone = () => {
        this.#send(place.owner, { type: 'leave', ticket });
        finish();
      };
      const finish = (error?: GatewayError) => {
        this.#asking.delete(ticket);
        timer?.cancel();
        gone.removeEventListener('abort', onGone);
        if (error) reject(error);
        else resolve();
      };
      this.#asking.set(ticket, { viewer, finish, silentTurns: 0 });
      gone.addEventListener('abort', onGone, { once: true });
      repeat();
    });
  }

  #listen(): Promise<() => Promise<void>> {
    this.#listening ??= this.#options.hot
      .subscribe(inbox(this.#options.instance), text =>
        this.#onMessage(JSON.parse(text) as ToOwner | ToAsker),
      )
      .catch((error: unknown) => {
        this.#listening = undefined;
        throw error;
      });
    return this.#listening;
  }

  #send(instance: string, message: ToOwner | ToAsker): void {
    this.#options.hot.publish(inbox(instance), JSON.stringify(message)).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'a message to another replica could not be sent');
    });
  }

  #onMessage(message: ToOwner | ToAsker): void {
    if (message.type === 'resume') this.#host(message);
    else if (message.type === 'leave') this.#leave(message.ticket);
    else this.#hear(message);
  }

  /** A client of ours came back to another replica. */
  #host(message: Extract<ToOwner, { type: 'resume' }>): void {
    const { ticket, from } = message;
    const known = this.#hosted.get(ticket);
    const run = this.#runs.get(message.run);
    if (known || !run || this.#hosted.size >= maxTickets) {
      const news = known ? (known.settled ?? alive(ticket)) : { type: 'unknown' as const, ticket };
      this.#send(from, news);
      return;
    }
    const hosted: Hosted = {
      run,
      settled: undefined,
      viewer: {
        rawId: Buffer.from(message.rawId),
        progressToken: message.progressToken,
        carrier: {
          canCarryMessages: message.canCarry,
          emit: bytes => {
            this.#send(from, { type: 'message', ticket, text: bytes.toString() });
            return true;
          },
        },
        settle: (body, status) => {
          hosted.settled = { type: 'settled', ticket, body: body.toString(), status };
          this.#send(from, hosted.settled);
        },
      },
    };
    this.#hosted.set(ticket, hosted);
    run.resume(hosted.viewer, message.round, new Map(Object.entries(message.responses)));
  }

  #leave(ticket: string): void {
    const hosted = this.#hosted.get(ticket);
    this.#hosted.delete(ticket);
    hosted?.run.leave(hosted.viewer);
  }

  /** News about a request that waits here. */
  #hear(message: ToAsker): void {
    const asking = this.#asking.get(message.ticket);
    if (!asking) return;
    asking.silentTurns = 0;
    switch (message.type) {
      case 'alive':
        return;
      case 'unknown':
        asking.finish(runGone());
        return;
      case 'message':
        asking.viewer.carrier.emit(Buffer.from(message.text), false);
        return;
      case 'settled':
        asking.viewer.settle(Buffer.from(message.body), message.status);
        asking.finish();
    }
  }
}

function alive(ticket: string): ToAsker {
  return { type: 'alive', ticket };
}

function inbox(instance: string): string {
  return `mcp:parked:${instance}`;
}

function runGone(): GatewayError {
  return new GatewayError(
    'upstream_failed',
    'The call that asked is over. Make it anew if it may be done again.',
    {
      reason: 'parked_call_gone',
    },
  );
}

function ownerGone(): GatewayError {
  return new GatewayError(
    'upstream_failed',
    'The gateway that held the call is gone, and nobody knows how far it came. Make it anew if it may be done twice.',
    { reason: 'parked_call_gone' },
  );
}

function tooManyParked(): GatewayError {
  return new GatewayError('rate_limited', 'Too many calls wait for the answers of their client.', {
    reason: 'too_many_parked_calls',
    retryAfterMs: 1000,
  });
}
