import type { Readable } from 'node:stream';
import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Deadline } from '@strata/shared/resilience/deadline.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { AnswerStream, StreamEnd, StreamSink } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import { reportedError } from '../domain/refusal-error.ts';
import type { Passage, Passed } from './passage.ts';

export interface HoldLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly maxMs: number;
}

export interface UpstreamStreamOptions {
  readonly body: Readable;
  readonly passage: Passage;
  /** What the passage was told, as far as it says something. */
  readonly facts: () => AnswerFacts;
  readonly provider: string;
  readonly clock: Clock;
  /** Of the call: fires when the client leaves, at the end of its time, or with the reason `draining`. */
  readonly signal: StopSignal;
  /** Of the first meaningful event, below `signal`: the dialer destroys the body when it fires. Closed with the stream. */
  readonly deadline: Deadline;
  readonly hold: HoldLimits;
  /** How long a client may leave what it was sent unread. */
  readonly clientStallMs: number;
  /** Takes out of the upstream's error event, or of one that may be an error among others, what it was shown as a proof. */
  readonly withhold: (bytes: Buffer, end: Passed['end']) => Buffer;
  /** Whether errors are events among others, after which the stream goes on. */
  readonly passesErrors: boolean;
}

type Phase =
  | {
      readonly type: 'holding';
      readonly timer: Scheduled;
      commit(): void;
      fail(failure: AttemptFailure): void;
    }
  | { readonly type: 'waiting' }
  | { readonly type: 'flowing'; readonly sink: StreamSink }
  | { readonly type: 'ended' };

/** After the terminal event: how long the upstream may take to end its body, so that the connection can be used again. */
const lingerMs = 1000;

/**
 * One streamed answer on its way through. Until the first meaningful event its frames are held, so that an error inside a
 * 200 is still an attempt that failed and another target can answer (AI-1). Then what the passage lets through follows: only
 * whole events, so whatever happens, the protocol's own terminal or error event can follow (AI-3).
 */
export class UpstreamStream implements AnswerStream {
  readonly #options: UpstreamStreamOptions;
  readonly #listeners: ((end: StreamEnd) => void)[] = [];
  #phase: Phase = { type: 'waiting' };
  #held: Buffer[] = [];
  #heldEvents = 0;
  #heldBytes = 0;
  /** Set once the last frame that may pass was seen. */
  #end: Omit<StreamEnd, 'facts'> | undefined;
  #stall: Scheduled | undefined;
  hasContent = false;

  private constructor(options: UpstreamStreamOptions) {
    this.#options = options;
  }

  /** Resolves at the first meaningful event, or when the hold's limits are reached. @throws AttemptFailure */
  static open(options: UpstreamStreamOptions): Promise<UpstreamStream> {
    const stream = new UpstreamStream(options);
    return new Promise((resolve, reject) => {
      const timer = options.clock.schedule(options.hold.maxMs, () => stream.#commit());
      stream.#phase = { type: 'holding', timer, commit: () => resolve(stream), fail: reject };
      options.body.on('data', stream.#onData);
      options.body.on('end', stream.#onEnd);
      options.body.on('error', stream.#onError);
      options.body.on('close', stream.#onClose);
    });
  }

  flow(sink: StreamSink): void {
    if (this.#phase.type !== 'waiting') return;
    this.#phase = { type: 'flowing', sink };
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) this.#write(sink, joined(held));
    if (this.#end) this.#finish(this.#end);
    else if (!this.#stall) this.#options.body.resume();
  }

  onEnd(listener: (end: StreamEnd) => void): void {
    this.#listeners.push(listener);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#end) return;
    let passed: Passed;
    try {
      passed = this.#options.passage.push(chunk);
    } catch (error) {
      this.#break(GatewayError.from(error));
      return;
    }
    this.#take(passed);
  };

  #take(told: Passed): void {
    const passed = this.#holdsError(told) ? this.#withheld(told) : told;
    if (passed.hasContent && !this.hasContent) {
      this.hasContent = true;
      this.#options.deadline.lift();
    }
    if (passed.end === 'terminal') this.#end = { outcome: 'answered', error: undefined, failure: undefined };
    else if (passed.end === 'error') {
      const { provider, passage } = this.#options;
      this.#end = { outcome: 'cut', ...reportedError(provider, passage.errorCodes) };
    }
    if (this.#phase.type !== 'flowing') {
      this.#hold(passed);
      return;
    }
    if (passed.bytes.length > 0) this.#write(this.#phase.sink, joined(passed.bytes));
    if (this.#end) this.#finish(this.#end);
  }

  #holdsError({ bytes, end }: Passed): boolean {
    return end === 'error' || (this.#options.passesErrors && bytes.some(each => each.includes('error')));
  }

  #withheld(told: Passed): Passed {
    return { ...told, bytes: told.bytes.map(each => this.#options.withhold(each, told.end)) };
  }

  #hold({ bytes, events }: Passed): void {
    for (const each of bytes) {
      this.#held.push(each);
      this.#heldBytes += each.length;
    }
    this.#heldEvents += events;
    if (this.#phase.type !== 'holding') return;
    if (this.#end?.error && !this.hasContent) {
      this.#fail(new AttemptFailure(this.#end.failure ?? 'transient', this.#end.error, { status: 200 }));
      return;
    }
    const { maxEvents, maxBytes } = this.#options.hold;
    if (this.hasContent || this.#heldEvents >= maxEvents || this.#heldBytes >= maxBytes) this.#commit();
  }

  #commit(): void {
    if (this.#phase.type !== 'holding') return;
    const { timer, commit } = this.#phase;
    timer.cancel();
    this.#phase = { type: 'waiting' };
    if (!this.#end) this.#options.body.pause();
    commit();
  }

  readonly #onEnd = (): void => {
    if (this.#end) return;
    let passed: Passed | undefined;
    try {
      passed = this.#options.passage.end();
    } catch (error) {
      this.#break(GatewayError.from(error));
      return;
    }
    if (passed !== undefined) this.#take(passed);
    else this.#break(truncated());
  };

  readonly #onError = (error: unknown): void => {
    const { signal } = this.#options.deadline;
    this.#break(signal.aborted ? GatewayError.from(signal.reason) : streamError(error));
  };

  readonly #onClose = (): void => {
    if (!this.#end) this.#onError(undefined);
  };

  /** The upstream broke off: an attempt that failed while nothing was sent, else the protocol's own error event. */
  #break(error: GatewayError): void {
    if (this.#end) return;
    const isGone = error.kind === 'cancelled';
    // What ends the call itself says nothing about the target.
    const failure = this.#options.signal.aborted ? undefined : 'transient';
    this.#end = { outcome: isGone ? 'cancelled' : 'cut', error, failure };
    this.#options.body.destroy();
    const phase = this.#phase;
    if (phase.type === 'holding') {
      this.#fail(AttemptFailure.from(error));
      return;
    }
    if (!isGone) {
      const last = this.#options.passage.renderError(error);
      if (phase.type === 'flowing') phase.sink.write(last);
      else this.#held.push(last);
    }
    if (phase.type === 'flowing') this.#finish(this.#end);
  }

  #fail(failure: AttemptFailure): void {
    if (this.#phase.type !== 'holding') return;
    const { timer, fail } = this.#phase;
    timer.cancel();
    this.#phase = { type: 'ended' };
    this.#options.body.destroy();
    this.#options.deadline.close();
    this.#held = [];
    fail(failure);
  }

  #write(sink: StreamSink, bytes: Buffer): void {
    if (sink.write(bytes) || this.#stall) return;
    const { body, clock, clientStallMs } = this.#options;
    body.pause();
    this.#stall = clock.schedule(clientStallMs, () => sink.destroy());
    sink.onDrain(() => {
      this.#stall?.cancel();
      this.#stall = undefined;
      body.resume();
    });
  }

  #finish(end: Omit<StreamEnd, 'facts'>): void {
    if (this.#phase.type !== 'flowing') return;
    const { sink } = this.#phase;
    this.#phase = { type: 'ended' };
    this.#stall?.cancel();
    sink.end();
    this.#release(end);
  }

  #release(end: Omit<StreamEnd, 'facts'>): void {
    const { body, clock, facts, deadline } = this.#options;
    deadline.close();
    if (end.outcome === 'answered' && !body.readableEnded && !body.destroyed) {
      const linger = clock.schedule(lingerMs, () => body.destroy());
      body.once('close', () => linger.cancel());
      body.resume();
    } else {
      body.destroy();
    }
    const full = { ...end, facts: facts() };
    for (const listener of this.#listeners.splice(0)) listener(full);
  }
}

function joined(parts: readonly Buffer[]): Buffer {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

function truncated(): GatewayError {
  return new GatewayError('upstream_failed', 'The upstream ended its stream before it was complete.', {
    reason: 'upstream_stream_truncated',
  });
}

function streamError(cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  return new GatewayError('upstream_failed', 'The connection to the upstream broke during its answer.', {
    reason: 'upstream_stream_broken',
    cause,
  });
}
