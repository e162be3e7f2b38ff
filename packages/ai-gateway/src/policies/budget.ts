import type { Budgets, Reservation } from '@strata/shared/money/budgets.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import { worstCaseCost } from '@strata/shared/money/worst-case.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import type { Answer, AnswerStream, Attempt, StreamSink } from '../domain/call.ts';
import { tooDear } from '../domain/failure.ts';
import type { AskedTier } from '../domain/given-service-tier.ts';
import { asksNoModel, type Spending, tokenBounds } from '../domain/spending.ts';

/**
 * Sets aside the most that the attempt can cost, in every budget that bears it, before anything is asked of the target ($-1). The meter, which
 * is the next stage, settles it. A target that is too dear is passed by: the next may be cheaper.
 */
export function createBudgetStage(budgets: Budgets, askedTier: AskedTier): Stage<Attempt, Answer> {
  return (attempt, next) => {
    const { call, target } = attempt;
    const spender = spenderOf(call.caller, [
      { kind: 'model', id: call.route.alias },
      { kind: 'upstream', id: target.provider.name },
    ]);
    const reserving = budgets.reserve(spender, () => mostOf(attempt, askedTier));
    return reserving === undefined ? next() : answerWithin(reserving, attempt, next);
  };
}

async function answerWithin(
  reserving: Promise<Reservation | undefined>,
  attempt: Attempt,
  next: () => Promise<Answer>,
): Promise<Answer> {
  const reservation = await reserving.catch(error => {
    throw tooDear(error);
  });
  if (reservation === undefined) return next();
  const spending: Spending = { reservation, answerBytes: 0 };
  attempt.spending = spending;
  const answer = await next();
  return answer.type === 'stream'
    ? { ...answer, stream: new CountedStream(answer.stream, spending) }
    : answer;
}

function mostOf(attempt: Attempt, askedTier: AskedTier): bigint | undefined {
  const { request, protocol } = attempt.call;
  const { prices, provider } = attempt.target;
  if (asksNoModel(protocol, provider)) return 0n;
  return worstCaseCost(prices, tokenBounds(request, prices), askedTier(attempt));
}

/** Counts what goes to the client, for the estimate where the upstream does not say. */
class CountedStream implements AnswerStream {
  readonly #stream: AnswerStream;
  readonly #spending: Spending;

  constructor(stream: AnswerStream, spending: Spending) {
    this.#stream = stream;
    this.#spending = spending;
  }

  get hasContent() {
    return this.#stream.hasContent;
  }

  onEnd(listener: Parameters<AnswerStream['onEnd']>[0]): void {
    this.#stream.onEnd(listener);
  }

  flow(sink: StreamSink): void {
    const spending = this.#spending;
    this.#stream.flow({
      write(bytes) {
        spending.answerBytes += Buffer.byteLength(bytes);
        return sink.write(bytes);
      },
      onDrain: listener => sink.onDrain(listener),
      end: () => sink.end(),
      destroy: () => sink.destroy(),
    });
  }
}
