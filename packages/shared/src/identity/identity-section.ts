import * as z from 'zod';
import { secretString } from '../config/secret-string.ts';

/** The part of the configuration about who may call. Shared by the three gateways. */
export const identitySection = z
  .strictObject({
    pepper: secretString()
      .refine(secret => secret.reveal().length >= 32, { message: 'expected at least 32 characters' })
      .optional()
      .describe(
        'Key under which virtual keys are hashed, at least 32 characters. Without it one is made on the first start and kept in `data_dir`; replicas that share a PostgreSQL store must share it.',
      ),
    key_cache_ms: z
      .number()
      .int()
      .min(0)
      .max(1000)
      .default(500)
      .describe(
        'How long a process may answer from a looked-up key, in milliseconds. A revoked key works at most this much longer.',
      ),
  })
  .prefault({})
  .describe('Virtual keys and the envelope between the gateways.');

export type IdentityConfig = z.output<typeof identitySection>;
