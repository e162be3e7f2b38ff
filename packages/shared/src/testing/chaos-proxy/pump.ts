import type { Socket } from 'node:net';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';

/** What the network does to the bytes of one direction. Read anew for every piece, so a change acts at once. */
export interface Weather {
  /** Every byte arrives this much later; bytes in flight do not wait for each other. */
  readonly latencyMs: number;
  /** Up to this much more, by the seed. Order is kept. */
  readonly jitterMs: number;
  readonly bytesPerSecond: number | undefined;
  /** Each write carries this many bytes, as a segment of its own; a range is drawn from by the seed. */
  readonly sliceBytes: number | { readonly min: number; readonly max: number } | undefined;
  /** Takes every byte and delivers none. Closing still gets through. */
  readonly blackhole: boolean;
  /** After this many delivered bytes the connection is cut. */
  readonly cutAfterBytes: number | undefined;
  /** RST to both sides, or FIN to the receiver. */
  readonly cutWith: 'rst' | 'fin';
}

export const fairWeather: Weather = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: undefined,
  sliceBytes: undefined,
  blackhole: false,
  cutAfterBytes: undefined,
  cutWith: 'rst',
};

/** Bytes of one direction so far. */
export interface Traffic {
  readonly receivedBytes: number;
  readonly deliveredBytes: number;
  readonly droppedBytes: number;
}

interface PumpOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly weather: () => Weather;
  /** Resolves while traffic may flow. */
  readonly open: () => Promise<void>;
  /** Whether the two sides have lost each other: nothing passes, not even an end. */
  readonly isIsolated: () => boolean;
  readonly onCut: (how: 'rst' | 'fin') => void;
  readonly onChange: () => void;
}

type Parcel = { readonly dueMs: number } & ({ readonly bytes: Buffer } | { readonly ending: 'fin' | 'rst' });

/** Above this the sender is held back, as a full socket buffer would. */
const maxQueuedBytes = 1024 * 1024;
const maxPieceBytes = 64 * 1024;

/** Carries what `from` sends to `to`, through the weather. */
export class Pump implements Traffic {
  receivedBytes = 0;
  deliveredBytes = 0;
  droppedBytes = 0;
  readonly #options: PumpOptions;
  readonly #queue: Parcel[] = [];
  #queuedBytes = 0;
  #freeAtMs = 0;
  #isRunning = false;

  constructor(options: PumpOptions) {
    this.#options = options;
    const { from } = options;
    from.on('data', bytes => {
      this.receivedBytes += bytes.length;
      this.#queuedBytes += bytes.length;
      if (this.#queuedBytes > maxQueuedBytes) from.pause();
      this.#add({ dueMs: this.#nextDueMs(), bytes });
      options.onChange();
    });
    from.on('end', () => this.#add({ dueMs: this.#nextDueMs(), ending: 'fin' }));
    from.on('error', () => this.#add({ dueMs: this.#nextDueMs(), ending: 'rst' }));
  }

  /** A parcel that is due before the one ahead of it waits its turn: the queue keeps the order. */
  #nextDueMs(): number {
    const { clock, random, weather } = this.#options;
    const { latencyMs, jitterMs } = weather();
    return clock.monotonic() + latencyMs + jitterMs * random();
  }

  #add(parcel: Parcel): void {
    this.#queue.push(parcel);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run()
      .catch(() => {}) // the connection is gone, and the other pump or the proxy has seen to it
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #run(): Promise<void> {
    for (let parcel = this.#queue.shift(); parcel; parcel = this.#queue.shift()) {
      await this.#waitUntil(parcel.dueMs);
      if ('ending' in parcel) {
        await this.#options.open();
        this.#finish(parcel.ending);
        continue;
      }
      await this.#deliver(parcel.bytes);
      this.#queuedBytes -= parcel.bytes.length;
      if (this.#queuedBytes <= maxQueuedBytes) this.#options.from.resume();
    }
  }

  #finish(ending: 'fin' | 'rst'): void {
    if (this.#options.isIsolated()) return;
    if (ending === 'rst') this.#options.to.resetAndDestroy();
    else this.#options.to.end();
  }

  async #deliver(bytes: Buffer): Promise<void> {
    const { onChange, onCut, signal, weather } = this.#options;
    for (let start = 0; start < bytes.length; ) {
      const { cutAfterBytes = Number.POSITIVE_INFINITY, cutWith, sliceBytes } = weather();
      const roomBytes = Math.max(0, cutAfterBytes - this.deliveredBytes);
      const piece = bytes.subarray(start, start + Math.min(this.#pieceBytes(), Math.max(1, roomBytes)));
      start += piece.length;
      await this.#waitForBandwidth(piece.length);
      await this.#options.open();
      signal.throwIfAborted();
      if (roomBytes === 0) return onCut(cutWith);
      if (weather().blackhole || this.#options.isIsolated()) this.droppedBytes += piece.length;
      else {
        await write(this.#options.to, piece, signal);
        this.deliveredBytes += piece.length;
      }
      onChange();
      if (this.deliveredBytes >= cutAfterBytes) return onCut(cutWith);
      if (sliceBytes !== undefined) await nextTick();
    }
  }

  #pieceBytes(): number {
    const { bytesPerSecond, sliceBytes } = this.#options.weather();
    if (typeof sliceBytes === 'number') return Math.max(1, sliceBytes);
    if (sliceBytes) {
      const { min, max } = sliceBytes;
      return Math.max(1, min + Math.floor(this.#options.random() * (max - min + 1)));
    }
    // Twenty pieces a second, so that a narrow line trickles instead of jumping.
    if (bytesPerSecond !== undefined)
      return Math.max(1, Math.min(maxPieceBytes, Math.floor(bytesPerSecond / 20)));
    return maxPieceBytes;
  }

  async #waitForBandwidth(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.#options.weather();
    if (bytesPerSecond === undefined) return;
    const nowMs = this.#options.clock.monotonic();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes / bytesPerSecond) * 1_000;
    await this.#waitUntil(this.#freeAtMs);
  }

  async #waitUntil(dueMs: number): Promise<void> {
    const { clock, signal } = this.#options;
    const waitMs = dueMs - clock.monotonic();
    if (waitMs > 0) await clock.sleep(waitMs, signal);
  }
}

/** Resolves when the system took the bytes. */
function write(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.write(bytes, error => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve();
    });
  });
}
