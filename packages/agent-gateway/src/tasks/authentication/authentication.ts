import * as z from 'zod';
import type { CompileContext, TaskScope } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';
import { asText } from '../as-text.ts';
import {
  type Credentials,
  type CredentialValue,
  type Scheme,
  type SecretRef,
  schemeFields,
} from './credentials.ts';

const text = z.string().min(1);
const bySecret = z.strictObject({ use: text });
const userAndPassword = z.strictObject({ username: text, password: text });
const token = z.strictObject({ token: text, type: text });

/** Of a grant that needs nobody at a browser. */
const grants = ['client_credentials', 'password', 'urn:ietf:params:oauth:grant-type:token-exchange'] as const;
const clientAuthentications = ['client_secret_basic', 'client_secret_post', 'none'] as const;

const oauthFields = {
  authority: text,
  grant: z.enum(grants),
  client: z.strictObject({
    id: text,
    secret: text.optional(),
    authentication: z
      .enum(clientAuthentications, `Expected one of ${clientAuthentications.join(', ')}`)
      .optional(),
  }),
  request: z
    .strictObject({
      encoding: z.literal('application/x-www-form-urlencoded', 'Token requests are forms').optional(),
    })
    .optional(),
  issuers: z.array(text).optional(),
  scopes: z.array(text).optional(),
  audiences: z.array(text).optional(),
  username: text.optional(),
  password: text.optional(),
  subject: token.optional(),
  actor: token.optional(),
};
const oauth2 = z.strictObject({
  ...oauthFields,
  /** Tokens are used until they end: they are neither revoked nor looked into, so two of the three are never asked. */
  endpoints: z
    .strictObject({ token: text.optional(), revocation: text.optional(), introspection: text.optional() })
    .optional(),
});
const oidc = z.strictObject(oauthFields);

export const authenticationHint = `Expected \`basic\`, \`bearer\`, \`digest\`, \`oauth2\` or \`oidc\` with its values, or with \`use\` and the name of a secret; of OAuth 2 the grants ${grants.join(', ')}, since others need a person at a browser`;

/** Specification 1.0, "Authentication": one of the schemes, with its values or with a secret that has them. */
export const authenticationSchema = z.union(
  [
    z.strictObject({ basic: z.union([userAndPassword, bySecret]) }),
    z.strictObject({ bearer: z.union([z.strictObject({ token: text }), bySecret]) }),
    z.strictObject({ digest: z.union([userAndPassword, bySecret]) }),
    z.strictObject({ oauth2: z.union([oauth2, bySecret]) }),
    z.strictObject({ oidc: z.union([oidc, bySecret]) }),
  ],
  authenticationHint,
);

export interface CompiledAuthentication {
  readonly scheme: Scheme;
  readonly values: Readonly<Record<string, Template | SecretRef>>;
}

export function compileAuthentication(
  authentication: z.output<typeof authenticationSchema>,
  pointer: string,
  context: CompileContext,
): CompiledAuthentication {
  const [[scheme, given] = []] = Object.entries(authentication) as [Scheme, Record<string, unknown>][]; // of the schema
  if (scheme === undefined || given === undefined) throw new Error('An authentication without a scheme');
  if (typeof given.use === 'string') return { scheme, values: allOfSecret(scheme, given.use) };
  const values = Object.entries(flat(given)).map(
    ([name, value]) => [name, secretIn(value) ?? context.template(value, `${pointer}/${scheme}`)] as const,
  );
  return { scheme, values: Object.fromEntries(values) };
}

export async function prepareCredentials(
  authentication: CompiledAuthentication | undefined,
  scope: TaskScope,
): Promise<Credentials | undefined> {
  if (authentication === undefined) return undefined;
  const values: Record<string, CredentialValue> = {};
  for (const [name, value] of Object.entries(authentication.values)) {
    // Only what the definition wrote down as a secret is one: data that looks like a reference stays text.
    values[name] = 'secret' in value ? value : asText(await scope.evaluate(value));
  }
  return { scheme: authentication.scheme, values };
}

/** `${ $secrets.name }` or `${ $secrets.name.field }`, as a whole value. */
function secretIn(value: string): SecretRef | undefined {
  const [, secret, field] =
    /^\s*\$\{\s*\$secrets\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?\s*\}\s*$/.exec(value) ?? [];
  return secret === undefined ? undefined : { secret, field };
}

function allOfSecret(scheme: Scheme, secret: string): Record<string, SecretRef> {
  const { needed, optional } = schemeFields[scheme];
  return Object.fromEntries([...needed, ...optional].map(field => [field, { secret, field }]));
}

/** `client.secret` becomes `client_secret`, as a secret with several values has it; lists become texts. */
function flat(given: Readonly<Record<string, unknown>>): Record<string, string> {
  const { client, subject, actor, endpoints, request, issuers, scopes, audiences, ...rest } = given as Record<
    string,
    Record<string, string> & string[] & string
  >; // of the schema
  const named = {
    ...rest,
    client_id: client?.id,
    client_secret: client?.secret,
    client_authentication: client?.authentication,
    token_endpoint: endpoints?.token,
    encoding: request?.encoding,
    issuers: issuers?.join(' '),
    scopes: scopes?.join(' '),
    audiences: audiences?.join(' '),
    subject_token: subject?.token,
    subject_token_type: subject?.type,
    actor_token: actor?.token,
    actor_token_type: actor?.type,
  };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
