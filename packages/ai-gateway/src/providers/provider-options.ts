import { secretString } from '@strata/shared/config/secret-string.ts';
import * as z from 'zod';

/** One key, or several that are used in turn. */
export const apiKeyOption = () =>
  z
    .union([secretString(), z.array(secretString()).min(1).max(64)])
    .describe(
      'The key of the account, best as `${env:NAME}` or `${file:/run/secrets/name}`. A list is a pool: its keys are used in turn, and one that is refused or limited is left alone for a while.',
    );

export const baseUrlOption = () => z.url({ protocol: /^https?$/ });

export const allowPrivateOption = () =>
  z
    .boolean()
    .default(false)
    .describe('Whether the address may be private, loopback or link-local. Off: such addresses are refused.');
