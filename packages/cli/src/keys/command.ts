import { loadSharedConfig, withKeyStore } from '@strata/shared/with-key-store.ts';

export interface CreateKeyOptions {
  readonly name: string;
  readonly principal: string;
  readonly tenant: string;
  readonly admin: boolean;
  readonly models: string[];
  readonly tools: string[];
  readonly workflows: string[];
}

/** `strata keys create`: prints the key once, then never again. */
export async function createKey(options: CreateKeyOptions): Promise<void> {
  const { models, tools, workflows } = options;
  const made = await withKeyStore(loadSharedConfig(), keys =>
    keys.create({
      name: options.name,
      tenant: options.tenant,
      principal: options.principal,
      isAdmin: options.admin,
      scopes: { models, tools, workflows },
    }),
  );
  process.stdout.write(`${made.secret.reveal()}\n`);
  process.stderr.write(
    `Key ${made.key.id} (${made.key.prefix}…) for ${made.key.principal}. It is shown this once.\n`,
  );
}

/** `strata keys disable ID`. */
export async function disableKey(id: string): Promise<void> {
  await withKeyStore(loadSharedConfig(), keys => keys.disable(id));
  process.stderr.write(`Key ${id} no longer works.\n`);
}
