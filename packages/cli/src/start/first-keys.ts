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
  return withKeyStore(config, async (keys, audited) => {
    if (!(await keys.isEmpty())) return undefined;
    const common = { tenant: 'default', scopes: allScopes };
    const admin = await keys.create(
      { ...common, name: 'first admin', principal: 'admin', isAdmin: true },
      audited('key.create'),
    );
    const demo = await keys.create({ ...common, name: 'demo', principal: 'demo' }, audited('key.create'));
    return { admin: admin.secret, demo: demo.secret };
  });
}
