import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Hot } from '../stores/hot.ts';
import type { SqlStore } from '../stores/sql.ts';
import { type IdentityChange, identityChannel, readChanges, readVersion } from './identity-changes.ts';
import type { IdentitySchema } from './identity-schema.ts';

/** What follows the log of changes, so that whatever was read before a change is not used after it. */
export interface IdentityWatch {
  /**
   * Undefined while what was read is known to be fresh, which is nearly always; else the wait until it is known again. Rejects with
   * overloaded (`store_unavailable`) when the store has been away for longer than `staleMs`.
   */
  confirm(): Promise<void> | undefined;
  /** Called with every change, in order, before anything newer is confirmed. `undefined`: some were missed, so everything may have changed. */
  onChange(listener: (changes: readonly IdentityChange[] | undefined) => void): void;
  /** Asks the store now. */
  poll(): Promise<void>;
  /** Begins to follow. Without it changes are seen at the next `confirm`. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly sql: SqlStore<IdentitySchema>;
  readonly hot: Hot;
  readonly clock: Clock;
  readonly pollMs: number;
  /** How long a process goes on with what it knows while the store does not answer. */
  readonly staleMs: number;
  readonly onFailure: (error: unknown) => void;
}

/** A poll that takes longer is given up and begun anew: it may hang on a connection that died. */
const pollTimeoutMs = 1000;

/** Starts at what is in the store now: whoever follows must read nothing before this resolves. */
export async function openIdentityWatch(options: WatchOptions): Promise<IdentityWatch> {
  const { sql, hot, clock, pollMs, staleMs, onFailure } = options;
  const listeners: ((changes: readonly IdentityChange[] | undefined) => void)[] = [];
  let confirmedAtMs = clock.monotonic();
  let version = await readVersion(sql);
  let polling: Promise<void> | undefined;
  let timer: Scheduled | undefined;
  let isClosed = false;
  let stopListening = async () => {};
  /** What is older is asked for again before it is used; late timers then cost a wait, never a second too many. */
  const freshMs = pollMs * 2;

  async function follow(): Promise<void> {
    for (;;) {
      const beganAtMs = clock.monotonic();
      const { changes, isWhole, isLast } = await withTimeout(clock, signal =>
        readChanges(sql, version, signal),
      );
      const last = changes.at(-1);
      if (last !== undefined) {
        version = last.version;
        for (const listener of listeners) listener(isWhole ? changes : undefined);
      }
      if (!isLast) continue;
      confirmedAtMs = beganAtMs;
      return;
    }
  }

  function poll(): Promise<void> {
    polling ??= follow().finally(() => {
      polling = undefined;
    });
    return polling;
  }

  function goOn(): void {
    if (isClosed) return;
    timer = clock.schedule(pollMs, () => {
      poll().catch(onFailure).finally(goOn);
    });
  }

  /** A hint may come while a poll is under way that has read already: then it is asked once more. */
  const hinted = () => {
    if (isClosed) return;
    (polling ?? Promise.resolve())
      .catch(() => {})
      .then(() => (isClosed ? undefined : poll()))
      .catch(onFailure);
  };

  return {
    confirm() {
      if (clock.monotonic() - confirmedAtMs <= freshMs) return undefined;
      return poll().catch((error: unknown) => {
        if (clock.monotonic() - confirmedAtMs <= staleMs) return;
        throw error instanceof GatewayError ? error : unavailable(error);
      });
    },
    onChange: listener => void listeners.push(listener),
    poll,
    async start() {
      stopListening = await hot.subscribe(identityChannel, hinted, { onGap: hinted });
      goOn();
    },
    async close() {
      isClosed = true;
      timer?.cancel();
      await stopListening();
      await polling?.catch(() => {});
    },
  };
}

async function withTimeout<T>(clock: Clock, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const timer = clock.schedule(pollTimeoutMs, () =>
    abort.abort(unavailable(new Error(`The store did not answer within ${pollTimeoutMs} ms`))),
  );
  const late = new Promise<never>((_resolve, reject) => {
    abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true });
  });
  try {
    return await Promise.race([work(abort.signal), late]);
  } finally {
    timer.cancel();
  }
}

function unavailable(cause: unknown): GatewayError {
  return new GatewayError('overloaded', 'Keys cannot be checked right now.', {
    reason: 'store_unavailable',
    retryAfterMs: 1000,
    cause,
  });
}
