import type { Clock } from '@strata/shared/clock.ts';
import { type AttemptEnding, usageRecord } from '../domain/attempt-record.ts';
import { type Attempt, type Brought, type Gate, isLeft, type StreamEnd } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import type { AnswerEnd } from '../domain/spending.ts';
import type { UsageSink } from '../domain/usage-record.ts';

/** Writes the record of an attempt that failed. For what is booked piece by piece once it has begun. */
export function createFailureMeter(deps: { clock: Clock; sink: UsageSink }): Gate {
  const { clock, sink } = deps;
  return attempt => {
    const startedAtMs = clock.now();
    const started = clock.monotonic();
    return {
      answered() {},
      failed(error) {
        const time = { startedAtMs, durationMs: clock.monotonic() - started };
        sink.record(usageRecord(attempt, failedEnding(attempt, error), time));
      },
    };
  };
}

/** Writes exactly one usage record an attempt, when its last byte has passed or it has failed (A7). */
export function createMeter(deps: { clock: Clock; sink: UsageSink }): Gate {
  const { clock, sink } = deps;
  return attempt => {
    const startedAtMs = clock.now();
    const started = clock.monotonic();
    const record = (ending: AttemptEnding) =>
      sink.record(usageRecord(attempt, ending, { startedAtMs, durationMs: clock.monotonic() - started }));
    return {
      answered(answer) {
        if (answer.type !== 'stream') {
          if (answer.type === 'whole' && attempt.spending) attempt.spending.answerBytes = answer.body.length;
          return record(wholeEnding(answer));
        }
        const firstEventMs = answer.stream.hasContent ? clock.monotonic() - started : undefined;
        answer.stream.onEnd(({ outcome, failure, facts }) =>
          record({
            outcome,
            failure,
            facts,
            firstEventMs,
            end: streamedEnd(outcome, facts),
          }),
        );
      },
      failed: error => record(failedEnding(attempt, error)),
    };
  };
}

function streamedEnd(outcome: StreamEnd['outcome'], { saysOnlyError }: AnswerFacts): AnswerEnd {
  if (outcome !== 'answered') return 'broken-off';
  return saysOnlyError === true ? 'refused' : 'complete';
}

function wholeEnding(answer: Brought): AttemptEnding {
  const whole = answer.type === 'whole' ? answer : undefined;
  return {
    outcome: 'answered',
    failure: undefined,
    facts: whole?.facts,
    costNanoUsd: whole?.costNanoUsd,
    firstEventMs: undefined,
    end: 'complete',
  };
}

function failedEnding(attempt: Attempt, error: unknown): AttemptEnding {
  const isGone = isLeft(attempt.call);
  const failure = AttemptFailure.from(error);
  return {
    outcome: isGone ? 'cancelled' : 'failed',
    failure: isGone ? undefined : failure.class,
    facts: undefined,
    firstEventMs: undefined,
    // What the upstream itself reports as an error has a status, also inside a 200.
    end: isGone || (attempt.hasBegun === true && failure.status === undefined) ? 'broken-off' : 'refused',
  };
}
