import { createHmac } from 'node:crypto';
import { randomText } from '../ids.ts';
import { Secret } from '../secret.ts';

const keyPattern = /^sk-strata-[0-9a-hjkmnp-tv-z]{40}$/;
const shownPrefixLength = 'sk-strata-'.length + 6;

/** A new virtual key: 200 random bits behind a prefix that secret scanners can find. */
export function newVirtualKey(): Secret {
  return new Secret(`sk-strata-${randomText(40)}`);
}

/** The part that may be shown again: enough to recognise a key, useless to guess it. */
export function shownPrefix(key: Secret): string {
  return key.reveal().slice(0, shownPrefixLength);
}

/** Whether a text can be a virtual key at all. Anything else is refused before it reaches the store. */
export function looksLikeVirtualKey(text: string): boolean {
  return keyPattern.test(text);
}

/**
 * What is stored and looked up instead of the key: HMAC-SHA-256 under the server's pepper, hexadecimal. The key has 200
 * random bits, so a slow hash would add nothing; the pepper makes a stolen table useless. The lookup is by this digest, so
 * no comparison depends on the secret's bytes.
 */
export function keyDigest(pepper: Secret, key: string): string {
  return createHmac('sha256', pepper.reveal()).update(key).digest('hex');
}
