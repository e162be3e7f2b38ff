import { secretString } from '@strata/shared/config/secret-string.ts';
import * as z from 'zod';

export const apiKeyOption = () =>
  secretString().describe('The key of the account, best as `${env:NAME}` or `${file:/run/secrets/name}`.');

export const baseUrlOption = () => z.url({ protocol: /^https?$/ });

export const allowPrivateOption = () =>
  z
    .boolean()
    .default(false)
    .describe('Whether the address may be private, loopback or link-local. Off: such addresses are refused.');
