import type { SharedConfig } from '@strata/shared/config/root-schema.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import type { Secret } from '@strata/shared/secret.ts';
import { withKeyStore } from '@strata/shared/with-key-store.ts';

export interface FirstKeys {
  readonly admin: Secret;
  readonly demo: Secret;
}

/** Makes the admin key and the demo key if there is no key at all yet. They are stored hashed and returned this once. */
export function createFirstKeys(config: SharedConfig): Promise<FirstKeys | undefined> {
  return withKeyStore(config, async keys => {
    if (!(await keys.isEmpty())) return undefined;
    const admin = await keys.create({
      name: 'first admin',
      tenant: 'default',
      principal: 'admin',
      isAdmin: true,
      scopes: allScopes,
    });
    const demo = await keys.create({ name: 'demo', tenant: 'default', principal: 'demo', scopes: allScopes });
    return { admin: admin.secret, demo: demo.secret };
  });
}
