import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Budgets, Reservation } from '@strata/shared/money/budgets.ts';
import { costOf, type PriceList } from '@strata/shared/money/price.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import { addUsage, type Usage, type UsageReport } from '@strata/shared/money/usage.ts';
import { worstCaseCost } from '@strata/shared/money/worst-case.ts';
import { usageRecord } from '../domain/attempt-record.ts';
import type { Attempt } from '../domain/call.ts';
import type { UsageSink } from '../domain/usage-record.ts';
import type { RealtimeEvent } from '../protocols/openai-realtime/server-events.ts';

/** Where neither the configuration nor the catalog says how much one answer can take and give. */
const unknownContextTokens = 128_000;
const unknownOutputTokens = 32_000;

export interface RealtimeMoneyDeps {
  readonly budgets: Budgets;
  readonly sink: UsageSink;
  readonly clock: Clock;
  /** Of the model that writes down what the caller says. */
  pricesOf(model: string): PriceList | undefined;
}

interface Answering {
  readonly reservation: Reservation | undefined;
  readonly startedAtMs: number;
  readonly started: number;
  /** How many bytes of the session had passed when it began. */
  readonly fromByte: number;
}

/**
 * The money of one session: for the answer that may come next the worst case is always set aside, because the provider begins answers by
 * itself; each answer is booked and settled when it is done ($-1, $-3).
 */
export class RealtimeMoney {
  readonly #deps: RealtimeMoneyDeps;
  readonly #attempt: Attempt;
  readonly #answering = new Map<string, Answering>();
  #next: Reservation | undefined;
  /** Why nothing could be set aside for the answer that may come next. */
  #refused: GatewayError | undefined;
  #lastUsage: Usage | undefined;
  #records = 0;
  #passedBytes = 0;
  /** Events are taken one after another, in their order. */
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  #total: Usage | undefined;

  constructor(deps: RealtimeMoneyDeps, attempt: Attempt) {
    this.#deps = deps;
    this.#attempt = attempt;
  }

  /** What all answers of the session used; undefined when none said so. Transcripts, which another model made, are not in it. */
  get total(): Usage | undefined {
    return this.#total;
  }

  /** Sets the worst case of one more answer aside. @throws GatewayError budget_exceeded. */
  async reserveNext(): Promise<void> {
    const { prices } = this.#attempt.target;
    const next = await this.#reserve(() =>
      worstCaseCost(prices, {
        input: prices?.limits?.contextTokens ?? unknownContextTokens,
        output: prices?.limits?.maxOutputTokens ?? unknownOutputTokens,
      }),
    );
    if (this.#isOver) next?.settle(0n);
    else this.#next = next;
  }

  /**
   * An answer that has begun is let through to its end. @throws GatewayError budget_exceeded when nothing is left for another one.
   */
  take(event: RealtimeEvent): Promise<void> {
    const fromByte = this.#passedBytes;
    const turn = this.#turn.then(() => this.#take(event, fromByte));
    this.#turn = turn.catch(() => {}); // whoever asked is told
    return turn;
  }

  #take(event: RealtimeEvent, fromByte: number): Promise<void> {
    switch (event.type) {
      case 'begun':
        return this.#begin(event.responseId, fromByte);
      case 'done':
        return this.#done(event.responseId, event.report);
      case 'transcribed':
        return this.#bookTranscript(event.model, event.report);
    }
  }

  /** Bytes to the client, for the estimate of an answer that is never done. */
  passed(bytes: number): void {
    this.#passedBytes += bytes;
  }

  /** The session is over. What was under way is charged by what passed of it. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const answering of this.#answering.values())
      this.#record(this.#attempt, answering, this.#likelyReport());
    this.#answering.clear();
    this.#next?.settle(0n);
  }

  async #begin(responseId: string, fromByte: number): Promise<void> {
    this.#answering.set(responseId, { ...this.#open(this.#next), fromByte });
    this.#next = undefined;
    if (this.#refused !== undefined) throw this.#refused;
    try {
      await this.reserveNext();
    } catch (error) {
      this.#refused = GatewayError.from(error);
    }
  }

  async #done(responseId: string, report: UsageReport | undefined): Promise<void> {
    const answering = this.#answering.get(responseId) ?? this.#open(undefined);
    this.#answering.delete(responseId);
    if (report !== undefined) {
      this.#lastUsage = report.usage;
      this.#total = addUsage(this.#total, report.usage);
    }
    await this.#bookWhole(this.#attempt, answering, report);
    if (this.#refused === undefined || this.#answering.size > 0) return;
    await this.reserveNext(); // what this one did not need may be enough
    this.#refused = undefined;
  }

  /** @throws GatewayError budget_exceeded when nothing is left for it: it is booked, and the last one. */
  async #bookTranscript(model: string | undefined, report: UsageReport | undefined): Promise<void> {
    const { target } = this.#attempt;
    const prices = model === undefined ? undefined : this.#deps.pricesOf(model);
    const attempt = { ...this.#attempt, target: { ...target, model: model ?? 'unknown', prices } };
    await this.#bookWhole(attempt, this.#open(undefined), report);
  }

  /** What nothing was set aside for is set aside now, when its cost is known. */
  async #bookWhole(attempt: Attempt, answering: Answering, report: UsageReport | undefined): Promise<void> {
    const cost = report && costOf(report.usage, attempt.target.prices);
    if (answering.reservation !== undefined || cost === undefined) {
      this.#record(attempt, answering, report, 'complete');
      return;
    }
    try {
      const reservation = await this.#reserve(() => cost);
      this.#record(attempt, { ...answering, reservation }, report, 'complete');
    } catch (error) {
      this.#record(attempt, answering, report, 'complete');
      throw error;
    }
  }

  async #reserve(worstCase: () => bigint | undefined): Promise<Reservation | undefined> {
    const { call, target } = this.#attempt;
    const spender = spenderOf(call.caller, [
      { kind: 'model', id: call.route.alias },
      { kind: 'upstream', id: target.provider.name },
    ]);
    return this.#deps.budgets.reserve(spender, worstCase);
  }

  #open(reservation: Reservation | undefined): Answering {
    const { clock } = this.#deps;
    return { reservation, startedAtMs: clock.now(), started: clock.monotonic(), fromByte: this.#passedBytes };
  }

  /** An answer reads the whole conversation again, so the one before it says how much that is at least. */
  #likelyReport(): UsageReport | undefined {
    const usage = this.#lastUsage;
    return usage && { usage: { ...usage, output: 0, audioOutput: 0, reasoning: 0 }, isAnomalous: false };
  }

  #record(
    attempt: Attempt,
    { reservation, fromByte, startedAtMs, started }: Answering,
    report: UsageReport | undefined,
    end: 'complete' | 'broken-off' = 'broken-off',
  ): void {
    const { clock, sink } = this.#deps;
    const booked: Attempt = {
      ...attempt,
      id: `${attempt.id}.${++this.#records}`,
      ...(reservation && { spending: { reservation, answerBytes: this.#passedBytes - fromByte } }),
    };
    const ending = {
      outcome: end === 'complete' ? ('answered' as const) : ('cancelled' as const),
      failure: undefined,
      end,
      facts: { model: undefined, finishReason: undefined, report },
      firstEventMs: undefined,
    };
    sink.record(usageRecord(booked, ending, { startedAtMs, durationMs: clock.monotonic() - started }));
  }
}
