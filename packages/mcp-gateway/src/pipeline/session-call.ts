import type { Clock } from '@strata/shared/clock.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { LiveCall } from '@strata/shared/identity/live-calls.ts';
import { Stopper } from '@strata/shared/resilience/stop-signal.ts';
import { type Call, type Carrier, failCall } from '../domain/exchange.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { progressTokenOf } from '../wire/forward-request.ts';
import { idKey } from '../wire/frame.ts';
import { copySpan } from '../wire/render.ts';

/** A call of a session, from its request to its answer. */
export class SessionCall implements Call, LiveCall {
  readonly exchange: Carrier;
  readonly caller: Caller;
  readonly rawId: Buffer;
  readonly progressToken: string | undefined;
  readonly end = new Stopper();
  #isAnswered: PromiseWithResolvers<void> | undefined;

  constructor(frame: RequestFrame, exchange: Carrier, caller: Caller) {
    this.exchange = exchange;
    this.caller = caller;
    this.rawId = copySpan(frame.bytes, frame.id);
    this.progressToken = progressTokenOf(frame);
  }

  get idKey(): string {
    return idKey(this.rawId, { start: 0, end: this.rawId.length }) ?? '';
  }

  abort(reason: GatewayError): void {
    failCall(this, reason);
  }

  /** Resolves once its answer is with its exchange. */
  get whenAnswered(): Promise<void> {
    this.#isAnswered ??= Promise.withResolvers();
    return this.#isAnswered.promise;
  }

  answered(): void {
    this.#isAnswered?.resolve();
  }
}

/** Waits for the answers to calls that were ended. One that does not heed its end holds nobody up for longer than this. */
export async function whenAnswered(
  calls: Iterable<SessionCall>,
  clock: Pick<Clock, 'schedule'>,
  limitMs: number,
): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = clock.schedule(limitMs, () => limit.resolve());
  await Promise.race([Promise.all([...calls].map(call => call.whenAnswered)), limit.promise]);
  timer.cancel();
}
