import type { Clock, Scheduled } from '@strata/shared/clock.ts';

const flushMs = 250;
const maxLength = 4000;

/** What a call says while it goes on, put together so that a record holds a breath of it and not a syllable. */
export class ProgressBuffer {
  readonly #clock: Clock;
  readonly #emit: (text: string) => void;
  #text = '';
  #timer: Scheduled | undefined;

  constructor(clock: Clock, emit: (text: string) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= maxLength) this.flush();
    else this.#timer ??= this.#clock.schedule(flushMs, () => this.flush());
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const text = this.#text;
    this.#text = '';
    if (text !== '') this.#emit(text);
  }
}
