import { hash } from 'node:crypto';
import type { Secret } from '@strata/shared/secret.ts';
import type { Credential, CredentialHeaders } from '../domain/provider.ts';

export type Credentials = readonly [Credential, ...Credential[]];

/** For servers that ask for none. */
export const noCredential: Credentials = [{ id: '', authorize: () => ({}) }];

/** A credential for each key, each sent in the same header. */
export function keyCredentials(
  keys: Secret | readonly Secret[],
  toHeaders: (key: string) => CredentialHeaders,
): Credentials {
  const list = Array.isArray(keys) ? keys : [keys as Secret]; // the only other form
  const [first, ...rest] = list.map((key): Credential => {
    const headers = toHeaders(key.reveal());
    return { id: list.length === 1 ? '' : fingerprint(key), authorize: () => headers };
  });
  return first === undefined ? noCredential : [first, ...rest];
}

export function bearerCredentials(keys: Secret | readonly Secret[]): Credentials {
  return keyCredentials(keys, key => ({ authorization: `Bearer ${key}` }));
}

/** Tells keys of a pool apart and nothing else of them. */
function fingerprint(key: Secret): string {
  return hash('sha256', `strata-credential:${key.reveal()}`, 'hex').slice(0, 8);
}

/** A credential whose headers a vendor's library makes; `load` runs once, at the first use. */
export function lazyCredential(
  load: () => Promise<Credential['authorize']>,
  more: Pick<Credential, 'plainHeaders'> = {},
): Credentials {
  let loading: Promise<Credential['authorize']> | undefined;
  return [
    {
      ...more,
      id: '',
      async authorize(request) {
        loading ??= load().catch((error: unknown) => {
          loading = undefined; // asked again next time
          throw error;
        });
        return (await loading)(request);
      },
    },
  ];
}
