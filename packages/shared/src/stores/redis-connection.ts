import { Redis, ReplyError } from 'ioredis';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Secret } from '../secret.ts';
import { hotStoreFull, hotStoreUnavailable } from './hot-errors.ts';
import type { Script } from './redis-scripts.ts';
import type { HotConfig } from './store-section.ts';

export type RedisConfig = Omit<HotConfig, 'url'> & { readonly url: Secret };

const maxReconnectDelayMs = 1000;
const firstReconnectDelayMs = 50;
/** Without a byte in answer for this long the connection is given up: the other side may be gone without a word. */
const silenceMs = 2000;

/**
 * A client that neither queues nor repeats: what cannot be sent now fails now, and what was sent and not answered may have been
 * applied, so only the caller can know whether to send it again. It connects again by itself, for as long as it takes.
 */
export function connectRedis(config: RedisConfig): Redis {
  const redis = new Redis(config.url.reveal(), {
    connectTimeout: config.connect_timeout_ms,
    socketTimeout: silenceMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy: attempt => Math.min(firstReconnectDelayMs * 2 ** (attempt - 1), maxReconnectDelayMs),
    reconnectOnError: error => replyCode(error) === 'READONLY', // a primary that was demoted: its name leads to the new one
  });
  redis.on('error', () => {}); // every command says for itself that Redis is away
  return redis;
}

/** Resolves when it is ready, or when it turns out that it will not be soon: a gateway starts without Redis, and is whole once it is there. */
export function firstTry(redis: Redis, clock: Clock, timeoutMs: number): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      timer.cancel();
      redis.off('ready', done).off('close', done);
      resolve();
    };
    const timer = clock.schedule(timeoutMs, done);
    redis.on('ready', done).on('close', done);
  });
}

/**
 * Sends commands, each with a time limit (F21). After one that was too late nothing more is sent, so that callers do not wait one
 * limit after the other, until a PING on the same connection, which Redis answers after all that went before, is answered.
 */
export class RedisCommands {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #isHung = false;

  constructor(redis: Redis, options: { readonly clock: Clock; readonly timeoutMs: number }) {
    this.#redis = redis;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
    redis.on('ready', () => {
      this.#isHung = false;
    });
  }

  /** @throws GatewayError overloaded (`hot_store_unavailable`, `hot_store_full`). */
  async send<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#isHung) throw hotStoreUnavailable(new Error('Redis has not answered in time before'));
    try {
      return await this.#inTime(command(this.#redis));
    } catch (error) {
      throw explainRedisError(error);
    }
  }

  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.send(redis => evaluate(redis, script, keys, args));
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.schedule(this.#timeoutMs, () => {
        // If it is this process that was busy, the answer is already here: it is read before this runs.
        setImmediate(() => {
          if (!isWaiting) return;
          reject(hotStoreUnavailable(new Error('Redis did not answer in time')));
          this.#waitForAnswers();
        });
      });
      let isWaiting = true;
      const settled = () => {
        isWaiting = false;
        timer.cancel();
      };
      answer.finally(settled).then(resolve, reject);
    });
  }

  #waitForAnswers(): void {
    if (this.#isHung) return;
    this.#isHung = true;
    const open = () => {
      this.#isHung = false;
    };
    this.#redis.ping().then(open, open); // an error comes with the end of the connection: then commands say so themselves
  }
}

async function evaluate(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (replyCode(error) !== 'NOSCRIPT') throw error; // a Redis that was restarted has forgotten its scripts
    return redis.eval(script.source, keys.length, ...keys, ...args);
  }
}

/** The protocol puts the code of an error before its text. */
function replyCode(error: unknown): string | undefined {
  return error instanceof ReplyError && error instanceof Error ? error.message.split(' ', 1)[0] : undefined;
}

/** Codes by which Redis says that it cannot now. Any other, `ERR` and `WRONGTYPE` above all, is a mistake in this program. */
const passingCodes = new Set([
  ...['LOADING', 'BUSY', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN', 'READONLY', 'NOREPLICAS', 'MISCONF'],
  ...['NOAUTH', 'WRONGPASS', 'NOPERM', 'MOVED', 'ASK', 'UNKILLABLE'],
]);

function explainRedisError(error: unknown): unknown {
  if (error instanceof GatewayError) return error;
  const code = replyCode(error);
  if (code === 'OOM') return hotStoreFull();
  return code === undefined || passingCodes.has(code) ? hotStoreUnavailable(error) : error;
}
