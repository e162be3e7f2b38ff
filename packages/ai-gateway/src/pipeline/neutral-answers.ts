import type { UsageReport } from '@strata/shared/money/usage.ts';
import { EventGuard } from '../domain/guard-events.ts';
import type { FinishReason, NeutralEvent } from '../domain/neutral-event.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import type { Seal, SealOrigin } from '../domain/seal.ts';

/** Undoes, in the answer, what was done to a request so that a target could take it. */
export interface EventAdapter {
  adapt(event: NeutralEvent): readonly NeutralEvent[];
}

/** The events of a whole answer as they would leave in a stream. */
export function orderEvents(
  events: readonly NeutralEvent[],
  { adapter, origin }: { adapter: EventAdapter; origin: SealOrigin },
): NeutralEvent[] {
  const guard = new EventGuard();
  const ordered: NeutralEvent[] = [];
  for (const event of events)
    for (const adapted of adapter.adapt(event)) ordered.push(...guard.pass(stampSeals(adapted, origin)));
  return ordered;
}

/** Tells every seal who made it; nobody but the gateway knows. */
export function stampSeals(event: NeutralEvent, origin: SealOrigin): NeutralEvent {
  if (event.type === 'block-delta' && event.delta.type === 'seal') {
    return { ...event, delta: { type: 'seal', seal: stamp(event.delta.seal, origin) } };
  }
  if (event.type !== 'block-start') return event;
  const { block } = event;
  if ((block.kind !== 'reasoning' && block.kind !== 'tool-call') || block.seal === undefined) return event;
  return { ...event, block: { ...block, seal: stamp(block.seal, origin) } };
}

function stamp(seal: Seal, origin: SealOrigin): Seal {
  return seal.origin === undefined ? { ...seal, origin } : seal;
}

/** What an answer tells about itself, read from its events. */
export class FactsReader {
  #model: string | undefined;
  #finishReason: FinishReason | undefined;
  #report: UsageReport | undefined;
  #serviceTier: string | undefined;

  get facts(): AnswerFacts {
    return {
      model: this.#model,
      finishReason: this.#finishReason,
      report: this.#report,
      serviceTier: this.#serviceTier,
    };
  }

  read(event: NeutralEvent): void {
    if (event.type === 'start') {
      this.#model = event.model;
      this.#report = event.usage ?? this.#report;
    } else if (event.type === 'usage') {
      this.#report = event.report;
      this.#serviceTier = event.serviceTier;
    } else if (event.type === 'finish') this.#finishReason = event.reason;
  }
}
