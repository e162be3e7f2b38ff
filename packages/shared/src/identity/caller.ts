import type { IncomingHttpHeaders } from 'node:http';
import type { Envelope } from './envelope.ts';
import type { Scopes } from './scopes.ts';
import type { Role, TreePath } from './tree.ts';

/**
 * Who stands behind a request, after its credential was checked. One object for as long as a key is unchanged: what was decided about a
 * caller may be kept by it (`WeakMap`), and is forgotten with it.
 */
export interface Caller extends TreePath {
  /** The virtual key that was shown here or at the gateway that was entered first. */
  readonly keyId: string | undefined;
  readonly tags: readonly string[];
  /** What may be done in the admin API of the organisation. */
  readonly roles: readonly Role[];
  /** Whether it may act on the installation as a whole, beyond its organisation. */
  readonly isAdmin: boolean;
  readonly scopes: Scopes;
  /** Present when another gateway calls for somebody. */
  readonly envelope: Envelope | undefined;
}

/** @throws GatewayError unauthenticated when there is no credential or it is not valid here. */
export type Authenticate = (headers: IncomingHttpHeaders) => Promise<Caller>;
