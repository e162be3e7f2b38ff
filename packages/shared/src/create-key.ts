import { parseArgs } from 'node:util';
import { allScopes } from './identity/scopes.ts';
import { loadSharedConfig, withKeyStore } from './with-key-store.ts';

/**
 * `node create-key.ts --name first --principal me [--tenant default] [--admin]`: makes a key and prints it once. For containers, which do
 * not hold the `strata` command.
 */
const { values } = parseArgs({
  options: {
    name: { type: 'string' },
    principal: { type: 'string' },
    tenant: { type: 'string', default: 'default' },
    admin: { type: 'boolean', default: false },
  },
});
const { name, principal, tenant, admin } = values;
if (name === undefined || principal === undefined) {
  process.stderr.write(
    'usage: create-key.ts --name NAME --principal PRINCIPAL [--tenant TENANT] [--admin]\n',
  );
  process.exit(2);
}
const made = await withKeyStore(loadSharedConfig(), (keys, audited) =>
  keys.create({ name, principal, tenant, isAdmin: admin, scopes: allScopes }, audited('key.create')),
);
process.stdout.write(`${made.secret.reveal()}\n`);
