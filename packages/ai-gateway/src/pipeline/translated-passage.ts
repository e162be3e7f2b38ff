import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StreamDecoder, StreamEncoder } from '../domain/codec.ts';
import { EventGuard } from '../domain/guard-events.ts';
import type { NeutralEvent } from '../domain/neutral-event.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import { reportedError } from '../domain/refusal-error.ts';
import type { SealOrigin } from '../domain/seal.ts';
import { type EventAdapter, FactsReader, stampSeals } from './neutral-answers.ts';
import type { Passage, Passed } from './passage.ts';

export interface TranslatedPassageOptions {
  readonly decoder: StreamDecoder;
  readonly encoder: StreamEncoder;
  readonly adapter: EventAdapter;
  /** Who answers: tags the seals. */
  readonly origin: SealOrigin;
  /** What goes in front of the terminal event, if anything. */
  beforeTerminal?: () => string | undefined;
  /** Every event that leaves, in the guard's order. */
  onEvent?: (event: NeutralEvent) => void;
}

/** Different protocols: decoder, guard, encoder. */
export class TranslatedPassage implements Passage {
  readonly #options: TranslatedPassageOptions;
  readonly #guard = new EventGuard();
  readonly #facts = new FactsReader();
  errorCodes: readonly string[] = [];

  constructor(options: TranslatedPassageOptions) {
    this.#options = options;
  }

  get facts(): AnswerFacts {
    return this.#facts.facts;
  }

  push(chunk: Buffer): Passed {
    return this.translate(this.#options.decoder.push(chunk));
  }

  end(): Passed | undefined {
    const passed = this.translate(this.#options.decoder.end());
    return passed.end === undefined ? undefined : passed;
  }

  renderError(error: GatewayError): Buffer {
    const { encoder } = this.#options;
    const closing = this.#guard.closeAll().map(event => Buffer.from(encoder.encode(event)));
    return Buffer.concat([...closing, Buffer.from(encoder.fail(error))]);
  }

  /** Also for events that came from a whole answer: an upstream may not stream although it was asked to. */
  translate(events: readonly NeutralEvent[]): Passed {
    const { adapter, origin } = this.#options;
    const bytes: Buffer[] = [];
    let hasContent = false;
    for (const event of events.flatMap(each => adapter.adapt(each))) {
      if (event.type === 'error') {
        this.errorCodes = event.codes;
        bytes.push(this.renderError(reportedError(origin.provider, event.codes).error));
        return { bytes, events: events.length, hasContent, end: 'error' };
      }
      for (const passed of this.#guard.pass(stampSeals(event, origin))) {
        hasContent ||= isMeaningful(passed);
        this.#encode(passed, bytes);
        if (passed.type === 'finish') {
          this.#terminate(bytes);
          return { bytes, events: events.length, hasContent, end: 'terminal' };
        }
      }
    }
    return { bytes, events: events.length, hasContent, end: undefined };
  }

  #encode(event: NeutralEvent, bytes: Buffer[]): void {
    this.#facts.read(event);
    this.#options.onEvent?.(event);
    const written = this.#options.encoder.encode(event);
    if (written.length > 0) bytes.push(Buffer.from(written));
  }

  #terminate(bytes: Buffer[]): void {
    const extra = this.#options.beforeTerminal?.();
    if (extra !== undefined) bytes.push(Buffer.from(extra));
    bytes.push(Buffer.from(this.#options.encoder.end()));
  }
}

function isMeaningful(event: NeutralEvent): boolean {
  switch (event.type) {
    case 'block-start':
      return event.block.kind === 'tool-call' || event.block.kind === 'whole';
    case 'block-delta':
    case 'finish':
      return true;
    default:
      return false;
  }
}
