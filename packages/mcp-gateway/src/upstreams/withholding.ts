import {
  nothingWithheld,
  type Withheld,
  withholdCredentials,
} from '@strata/shared/http/withhold-credentials.ts';
import type { TransportEvents, TransportFactory } from './transport.ts';

/**
 * What a server was shown comes back in none of its messages, of whatever kind: results, errors, progress, questions, lists (S20). Messages
 * come whole from every transport, so nothing is split over two of them.
 */
export function withholding(factory: TransportFactory): TransportFactory {
  const withheld = withholdCredentials(factory.credentials);
  if (withheld === nothingWithheld) return factory;
  return {
    ...factory,
    create: (events, era, session) => factory.create(new WithholdingEvents(events, withheld), era, session),
  };
}

class WithholdingEvents implements TransportEvents {
  readonly #events: TransportEvents;
  readonly #withheld: Withheld;

  constructor(events: TransportEvents, withheld: Withheld) {
    this.#events = events;
    this.#withheld = withheld;
  }

  onMessage(bytes: Buffer, request: number | undefined): void {
    this.#events.onMessage(this.#withheld.inJson(bytes), request);
  }

  onPaused(request: number): void {
    this.#events.onPaused(request);
  }

  onRequestFailed(...failure: Parameters<TransportEvents['onRequestFailed']>): void {
    this.#events.onRequestFailed(...failure);
  }

  onSessionLost(request: number): void {
    this.#events.onSessionLost(request);
  }

  onClosed(...reason: Parameters<TransportEvents['onClosed']>): void {
    this.#events.onClosed(...reason);
  }

  isWaiting(request: number): boolean {
    return this.#events.isWaiting(request);
  }
}
