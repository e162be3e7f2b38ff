import * as z from 'zod';
import { milliseconds } from '../config/milliseconds.ts';
import { secretString } from '../config/secret-string.ts';

/** Where durable records live. */
export const storeSection = z
  .strictObject({
    url: secretString()
      .optional()
      .describe(
        '`postgres://user:password@host/database` (TLS by `?sslmode=verify-full&sslrootcert=…`), or `file:/path/strata.sqlite`. Without it: `strata.sqlite` in `data_dir`. At start.',
      ),
    pool_size: z
      .number()
      .int()
      .min(1)
      .max(200)
      .default(10)
      .describe('PostgreSQL connections of one process. At start.'),
    connect_timeout_ms: milliseconds(2000).describe('Time to make a PostgreSQL connection. At start.'),
    acquire_timeout_ms: milliseconds(200).describe(
      'Time to wait for a PostgreSQL connection when all of them are in use; then the request is refused. At start.',
    ),
    statement_timeout_ms: milliseconds(10_000).describe(
      'Time for one PostgreSQL statement, and for a transaction to stand idle. At start.',
    ),
    busy_timeout_ms: milliseconds(5000).describe(
      'Time to wait for others that write to the SQLite file, in this process and in others. At start.',
    ),
  })
  .prefault({})
  .describe('Durable records: keys, registrations. SQLite by default, PostgreSQL to scale out.');

export type StoreConfig = ReturnType<typeof storeSection.parse>;

/** Where short-lived shared state lives. */
export const hotSection = z
  .strictObject({
    url: secretString()
      .optional()
      .describe('`redis://host:6379` or `rediss://…`. Without it the state stays in the process. At start.'),
    key_prefix: z
      .string()
      .regex(/^[a-z0-9:_-]*$/)
      .default('strata:')
      .describe('Put in front of every Redis key. At start.'),
    // What a hung Redis may cost one request (F21). The process's own pauses do not count, only those of Redis.
    command_timeout_ms: milliseconds(50).describe(
      'Time for one Redis command. After one that takes longer, commands are refused at once until Redis answers again. Raise it where Redis shares a busy machine. At start.',
    ),
    connect_timeout_ms: milliseconds(2000).describe('Time to make a Redis connection. At start.'),
    max_memory_bytes: z
      .number()
      .int()
      .min(1024 * 1024)
      .default(256 * 1024 * 1024)
      .describe('Without Redis: what the state may take up in the process, roughly. At start.'),
  })
  .prefault({})
  .describe(
    'Short-lived shared state: session ownership, event rings, invalidation. In the process by default, Redis to scale out.',
  );

export type HotConfig = ReturnType<typeof hotSection.parse>;
