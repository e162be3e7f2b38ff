import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { BlockStart, NeutralEvent } from './neutral-event.ts';

/** What one block may hold back while another is open, in UTF-16 code units over all blocks. */
const maxWaiting = 16 * 1024 * 1024;

interface Waiting {
  readonly start: Extract<NeutralEvent, { type: 'block-start' }>;
  readonly deltas: Extract<NeutralEvent, { type: 'block-delta' }>[];
  isStopped: boolean;
}

/**
 * The state machine in front of every encoder (AI-3): whatever a decoder says, what leaves is one `start`, then blocks with dense
 * indexes from 0, one after another, each closed, then at most one `finish`. Interleaved blocks (parallel tool calls) wait
 * until the open one is done. Events for blocks that were never opened or are closed are dropped.
 */
export class EventGuard {
  #isStarted = false;
  #isFinished = false;
  #open: { readonly from: number; readonly to: number } | undefined;
  #next = 0;
  readonly #waiting = new Map<number, Waiting>();
  #waitingSize = 0;

  /** @throws GatewayError upstream_failed when more is held back than is sane. */
  pass(event: NeutralEvent): NeutralEvent[] {
    if (this.#isFinished) return event.type === 'usage' ? [event] : [];
    switch (event.type) {
      case 'start':
        if (this.#isStarted) return [];
        this.#isStarted = true;
        return [event];
      case 'block-start':
        return this.#started(this.#openBlock(event));
      case 'block-delta':
        return this.#delta(event);
      case 'block-stop':
        return this.#stop(event.index);
      case 'finish': {
        const closed = this.#started(this.#closeAll());
        this.#isFinished = true;
        return [...closed, event];
      }
      default:
        return [event];
    }
  }

  /** Closes what is open, for an error that ends the stream. */
  closeAll(): NeutralEvent[] {
    return this.#closeAll();
  }

  #started(events: NeutralEvent[]): NeutralEvent[] {
    if (this.#isStarted) return events;
    this.#isStarted = true;
    return [{ type: 'start', id: undefined, model: undefined }, ...events];
  }

  #openBlock(event: Extract<NeutralEvent, { type: 'block-start' }>): NeutralEvent[] {
    const { index } = event;
    if (this.#open?.from === index || this.#waiting.has(index)) return []; // opened twice
    if (this.#open !== undefined) {
      this.#waiting.set(index, { start: event, deltas: [], isStopped: event.block.kind === 'whole' });
      return [];
    }
    return this.#begin(index, event.block);
  }

  #begin(from: number, block: BlockStart): NeutralEvent[] {
    const to = this.#next++;
    const start: NeutralEvent = { type: 'block-start', index: to, block };
    if (block.kind === 'whole') return [start, { type: 'block-stop', index: to }];
    this.#open = { from, to };
    return [start];
  }

  #delta(event: Extract<NeutralEvent, { type: 'block-delta' }>): NeutralEvent[] {
    if (this.#open?.from === event.index) return [{ ...event, index: this.#open.to }];
    const waiting = this.#waiting.get(event.index);
    if (waiting === undefined || waiting.isStopped) return [];
    this.#waitingSize += event.delta.type === 'text' ? event.delta.text.length : 1;
    if (this.#waitingSize > maxWaiting) throw tooMuchWaiting();
    waiting.deltas.push(event);
    return [];
  }

  #stop(index: number): NeutralEvent[] {
    const waiting = this.#waiting.get(index);
    if (waiting !== undefined) waiting.isStopped = true;
    if (this.#open?.from !== index) return [];
    return [...this.#close(), ...this.#flushWaiting(false)];
  }

  #close(): NeutralEvent[] {
    if (this.#open === undefined) return [];
    const { to } = this.#open;
    this.#open = undefined;
    return [{ type: 'block-stop', index: to }];
  }

  /** Lets the waiting blocks out in the order they came, up to the first that is not done; that one is open then. */
  #flushWaiting(isEnd: boolean): NeutralEvent[] {
    const events: NeutralEvent[] = [];
    for (const [from, { start, deltas, isStopped }] of this.#waiting) {
      this.#waiting.delete(from);
      events.push(...this.#begin(from, start.block));
      for (const delta of deltas) events.push(...this.#delta(delta));
      if (!isStopped && !isEnd) break;
      events.push(...this.#close());
    }
    if (this.#waiting.size === 0) this.#waitingSize = 0;
    return events;
  }

  #closeAll(): NeutralEvent[] {
    return [...this.#close(), ...this.#flushWaiting(true)];
  }
}

function tooMuchWaiting(): GatewayError {
  return new GatewayError(
    'upstream_failed',
    'The upstream interleaves more than the gateway may hold back.',
    {
      reason: 'upstream_stream_interleaved',
    },
  );
}
