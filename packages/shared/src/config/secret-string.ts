import * as z from 'zod';
import { Secret } from '../secret.ts';

/** A config value that must never be shown: a non-empty string in the file, a `Secret` in the program. */
export function secretString() {
  return z
    .string()
    .min(1)
    .meta({ secret: true })
    .transform(value => new Secret(value));
}
