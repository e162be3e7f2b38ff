import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { WebSocket } from 'ws';
import type { Attempt, Lasting, SessionAnswer, StreamEnd } from '../domain/call.ts';
import { AttemptFailure, tooDear } from '../domain/failure.ts';
import { type DialRealtimeDeps, dialRealtime, type OpenedRealtime } from './dial-realtime.ts';
import type { Proof } from './prove.ts';
import { RealtimeMoney, type RealtimeMoneyDeps } from './realtime-money.ts';

/** A session that is open at its target, from then until one side ends it. */
export class RealtimeSession implements Lasting {
  readonly upstream: WebSocket;
  readonly proof: Proof;
  readonly money: RealtimeMoney;
  readonly #listeners: ((end: StreamEnd) => void)[] = [];
  #isOver = false;

  constructor({ socket, proof }: OpenedRealtime, money: RealtimeMoney) {
    this.upstream = socket;
    this.proof = proof;
    this.money = money;
  }

  onEnd(listener: (end: StreamEnd) => void): void {
    this.#listeners.push(listener);
  }

  /** Settles what is under way and tells who wants to know. `error`: why it did not end by itself. */
  end(error: GatewayError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.money.end();
    const usage = this.money.total;
    const isBroken = error?.kind === 'upstream_failed';
    const end: StreamEnd = {
      outcome: error === undefined ? 'answered' : isBroken ? 'cut' : 'cancelled',
      error,
      failure: isBroken ? 'transient' : undefined,
      facts: {
        model: undefined,
        finishReason: undefined,
        report: usage && { usage, isAnomalous: false },
      },
    };
    for (const listener of this.#listeners.splice(0)) listener(end);
  }
}

export interface OpenRealtimeDeps extends Omit<RealtimeMoneyDeps, 'pricesOf'> {
  pricesOf(attempt: Attempt, model: string): ReturnType<RealtimeMoneyDeps['pricesOf']>;
  /** Read once an attempt. */
  dial(): DialRealtimeDeps;
}

/** Makes one attempt: sets the worst case of an answer aside, then opens the session. @throws AttemptFailure */
export function createOpenRealtime(
  deps: OpenRealtimeDeps,
): (attempt: Attempt) => Promise<SessionAnswer<RealtimeSession>> {
  return async attempt => {
    const { target } = attempt;
    const pricesOf = (model: string) =>
      model === target.model ? target.prices : deps.pricesOf(attempt, model);
    const money = new RealtimeMoney({ ...deps, pricesOf }, attempt);
    try {
      await money.reserveNext().catch(error => {
        throw tooDear(error);
      });
      const opened = await dialRealtime(deps.dial(), attempt, betaOf(attempt));
      return { type: 'session', attempt, session: new RealtimeSession(opened, money) };
    } catch (error) {
      money.end();
      throw AttemptFailure.from(error);
    }
  };
}

function betaOf({ call }: Attempt): Record<string, string> {
  const beta = call.headers['openai-beta'];
  return typeof beta === 'string' ? { 'openai-beta': beta } : {};
}
