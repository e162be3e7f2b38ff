import { Stopper } from '@strata/shared/resilience/stop-signal.ts';
import type { Viewer } from '../bridge/viewer.ts';
import type { Call, Carrier } from '../domain/exchange.ts';

/** The call of a run without a session, as whoever views it at the moment sees it. */
export class RunCall implements Call, Carrier {
  readonly idKey = '';
  readonly end = new Stopper();
  readonly #questions: ReadonlyMap<string, unknown>;
  viewer: Viewer | undefined;
  rawId: Buffer = noId;

  /** @param questions those that wait for the client. */
  constructor(questions: ReadonlyMap<string, unknown>) {
    this.#questions = questions;
  }

  get exchange(): Carrier {
    return this;
  }

  get canCarryMessages(): boolean {
    return this.viewer?.carrier.canCarryMessages ?? false;
  }

  emit(message: Buffer, mayBeLost: boolean): boolean {
    return this.viewer?.carrier.emit(message, mayBeLost) ?? false;
  }

  addHeaders(headers: Readonly<Record<string, string>>): void {
    this.viewer?.carrier.addHeaders?.(headers);
  }

  get progressToken(): string | undefined {
    return this.viewer?.progressToken;
  }

  get isWaitingForClient(): boolean {
    return this.#questions.size > 0;
  }
}

const noId = Buffer.from('null');
