import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { Secret } from '@strata/shared/secret.ts';
import { type Credentials, type CredentialValue, type SecretRef, schemeFields } from './credentials.ts';

/** What the operator keeps for workflows, and who may send it where. */
export interface WorkflowSecret {
  readonly value: Secret | Readonly<Record<string, Secret>>;
  /** Globs over `host` or `host:port` that it, or what it is exchanged for, may be sent to. */
  readonly hosts: readonly string[];
  /** Globs over `namespace/name` of workflows that may use it. */
  readonly workflows: readonly string[];
  /** Globs over organisations whose workflows these are. */
  readonly organisations: readonly string[];
}

export type WorkflowSecrets = Readonly<Record<string, WorkflowSecret>>;

/** For whom a secret is used. */
export interface SecretUser {
  readonly tenant: string;
  /** `namespace/name:version` */
  readonly workflow: string;
}

/**
 * The credentials with their secrets in place, to be sent to `url`; what a secret leaves out is absent.
 * @throws GatewayError permission_denied (`secret_not_allowed`), invalid_request (`secret_incomplete`).
 */
export function revealCredentials(
  { scheme, values }: Credentials,
  use: SecretUser & { readonly url: URL },
  secrets: WorkflowSecrets,
): Readonly<Record<string, string>> {
  const revealed: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    const text = typeof value === 'string' ? value : revealOne(value, use, secrets);
    if (text !== undefined) revealed[name] = text;
  }
  const missing = schemeFields[scheme].needed.filter(name => revealed[name] === undefined);
  if (missing.length === 0) return revealed;
  throw new GatewayError(
    'invalid_request',
    `The credentials for '${scheme}' have no ${missing.join(', ')}.`,
    {
      reason: 'secret_incomplete',
    },
  );
}

/** Whatever the values hold may go to this address too. @throws GatewayError permission_denied (`secret_not_allowed`). */
export function requireSendable(
  { values }: Credentials,
  use: SecretUser & { readonly url: URL },
  secrets: WorkflowSecrets,
): void {
  for (const value of Object.values(values)) if (isReference(value)) findAllowed(value, use, secrets);
}

function isReference(value: CredentialValue): value is SecretRef {
  return typeof value !== 'string';
}

function revealOne(
  reference: SecretRef,
  use: SecretUser & { readonly url: URL },
  secrets: WorkflowSecrets,
): string | undefined {
  const { value } = findAllowed(reference, use, secrets);
  const { field } = reference;
  // A secret that is one text is the token of `bearer: { use }` too.
  if (value instanceof Secret) return field === undefined || field === 'token' ? value.reveal() : undefined;
  return field !== undefined && Object.hasOwn(value, field) ? value[field]?.reveal() : undefined;
}

/** One answer for a secret that is not there and for one that is not meant: which there are is none of a definition's business. */
function findAllowed(
  { secret: name }: SecretRef,
  { tenant, workflow: versioned, url }: SecretUser & { readonly url: URL },
  secrets: WorkflowSecrets,
): WorkflowSecret {
  const secret = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
  const workflow = versioned.slice(0, versioned.lastIndexOf(':'));
  const isAllowed =
    secret !== undefined &&
    [url.host, url.hostname].some(host => matchesScope(secret.hosts, host)) &&
    matchesScope(secret.workflows, workflow) &&
    matchesScope(secret.organisations, tenant);
  if (isAllowed) return secret;
  throw new GatewayError(
    'permission_denied',
    `There is no secret '${name}' that '${workflow}' may send to '${url.host}'.`,
    { reason: 'secret_not_allowed' },
  );
}
