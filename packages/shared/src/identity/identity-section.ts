import * as z from 'zod';
import { secretString } from '../config/secret-string.ts';
import { weaknessOf } from '../config/weak-secret.ts';
import { issuerSchema, trustedGatewaySchema } from './issuers-section.ts';
import { policySchema } from './policy-section.ts';

/** The part of the configuration about who may call. Shared by the three gateways. */
export const identitySection = z
  .strictObject({
    pepper: secretString()
      .superRefine((secret, context) => {
        const weakness = weaknessOf(secret.reveal());
        if (weakness !== undefined) context.addIssue(weakness);
      })
      .optional()
      .describe(
        'Key under which virtual keys are hashed, at least 32 characters. Without it one is made on the first start and kept in `data_dir`; replicas that share a PostgreSQL store must share it.',
      ),
    revocation_poll_ms: z
      .number()
      .int()
      .min(20)
      .max(300)
      .default(200)
      .describe(
        'How often a process asks the store whether a key, a principal or a run was stopped, in milliseconds. At start.',
      ),
    store_outage_ms: z
      .number()
      .int()
      .min(1000)
      .max(600_000)
      .default(10_000)
      .describe(
        'How long a process goes on admitting the keys it knows while the store does not answer, in milliseconds; afterwards it answers 503. At start.',
      ),
    issuers: z
      .array(issuerSchema)
      .default([])
      .describe('Identity providers (OIDC) whose tokens are accepted beside virtual keys. At start.'),
    policies: z
      .array(policySchema)
      .max(200)
      .default([])
      .describe('Rules about what the lists of a key cannot say. At start.'),
    trusted_gateways: z
      .array(trustedGatewaySchema)
      .default([])
      .describe('Gateways that share no store with this one and whose envelopes are accepted. At start.'),
  })
  .prefault({})
  .describe('Virtual keys and the envelope between the gateways.');

export type IdentityConfig = z.output<typeof identitySection>;
