import type { IncomingHttpHeaders } from 'node:http';
import type { Envelope } from './envelope.ts';
import type { Scopes } from './scopes.ts';

/** Who stands behind a request, after its credential was checked. */
export interface Caller {
  readonly tenant: string;
  /** The person, service or agent that asked and is billed. */
  readonly principal: string;
  /** The virtual key that was shown here or at the gateway that was entered first. */
  readonly keyId: string | undefined;
  readonly isAdmin: boolean;
  readonly scopes: Scopes;
  /** Present when another gateway calls for somebody. */
  readonly envelope: Envelope | undefined;
}

/** @throws GatewayError unauthenticated when there is no credential or it is not valid here. */
export type Authenticate = (headers: IncomingHttpHeaders) => Promise<Caller>;
