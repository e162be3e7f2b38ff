import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Dialer } from '../http/dialer.ts';
import type { Secret } from '../secret.ts';
import type { Hot } from '../stores/hot.ts';
import type { SqlStore } from '../stores/sql.ts';
import { createAuthenticate } from './authenticate.ts';
import type { Authenticate } from './caller.ts';
import { createCredentialDirectory } from './credential-directory.ts';
import type { EnvelopeVerifier } from './envelope-token.ts';
import { identityChannel } from './identity-changes.ts';
import type { IdentitySchema } from './identity-schema.ts';
import type { IdentityConfig } from './identity-section.ts';
import { type IdentityWatch, openIdentityWatch } from './identity-watch.ts';
import { createKeyStore, type KeyStore } from './key-store.ts';
import { type LiveCaller, LiveCalls } from './live-calls.ts';
import { type CancelRun, createCancelRun, isUsable, openRevocation } from './revocation.ts';
import { createTokenAuthenticator } from './token-authenticator.ts';
import { createTreeStore, type TreeStore } from './tree-store.ts';

/** Keys, the tree above them, who calls, and the stopping of both: the parts joined. */
export interface IdentityControl {
  readonly keys: KeyStore;
  readonly tree: TreeStore;
  readonly live: LiveCalls;
  readonly cancelRun: CancelRun;
  /** Whether the key, or the principal without one, may still act. */
  readonly isUsable: (caller: LiveCaller) => Promise<boolean>;
  readonly authenticate: Authenticate;
  readonly watch: Pick<IdentityWatch, 'onChange'>;
  /** Hints to every process that something was written to the log of changes. */
  readonly announce: () => void;
  close(): Promise<void>;
}

export async function openIdentityControl(options: {
  sql: SqlStore<IdentitySchema>;
  hot: Hot;
  clock: Clock;
  config: IdentityConfig;
  dialer: Dialer;
  pepper: Secret;
  envelopes: EnvelopeVerifier;
  log: Logger;
}): Promise<IdentityControl> {
  const { sql, hot, clock, config, dialer, pepper, envelopes, log } = options;
  const onFailure = (error: unknown) => log.warn({ err: error }, 'changes of keys could not be read');
  const watch = await openIdentityWatch({
    sql,
    hot,
    clock,
    pollMs: config.revocation_poll_ms,
    staleMs: config.store_outage_ms,
    onFailure,
  });
  const writer = {
    sql,
    clock,
    // Others find out by asking the store; the hint only makes it sooner.
    onChanged: () => void hot.publish(identityChannel, '').catch(onFailure),
  };
  const keys = createKeyStore({ ...writer, pepper });
  const tree = createTreeStore(writer);
  const live = new LiveCalls();
  const directory = createCredentialDirectory({ keys, tree, watch });
  const tokens =
    config.issuers.length === 0
      ? undefined
      : createTokenAuthenticator({ issuers: config.issuers, dialer, clock, directory, tree, log });
  const revocation = await openRevocation({ sql, watch, live, directory, clock, onFailure });
  await watch.start();
  return {
    keys,
    tree,
    live,
    cancelRun: createCancelRun(writer),
    isUsable: caller => isUsable(directory, caller, clock),
    watch,
    announce: writer.onChanged,
    authenticate: createAuthenticate({ directory, watch, revocation, envelopes, tokens, clock }),
    async close() {
      revocation.close();
      await watch.close();
    },
  };
}
