import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import * as oauth from 'oauth4webapi';
import * as z from 'zod';

/** Fetches over the dialer, to hosts that the operator opened. */
export type TokenFetch = (url: URL, init: oauth.CustomFetchOptions<string, unknown>) => Promise<Response>;

/** The values of `oauth2` and `oidc`, with their secrets in place. */
export type OauthValues = Readonly<Record<string, string>>;

interface Kept {
  readonly token: Promise<{ readonly header: string; readonly untilMs: number }>;
}

const claimsSchema = z.object({ iss: z.string() });
const maxKept = 1000;
/** A token without a lifetime is asked for again after this long. */
const assumedLifeMs = 300_000;
/** One that ends while the request is on its way would be refused. */
const marginMs = 30_000;

/** Access tokens by who asks for what, one request for all who wait. */
export class OauthTokens {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The `Authorization` header for these values.
   * @throws GatewayError upstream_failed (`token_unavailable`), invalid_request (`token_refused`).
   */
  async headerOf(scheme: 'oauth2' | 'oidc', values: OauthValues, fetch: TokenFetch): Promise<string> {
    const key = JSON.stringify([scheme, values]);
    const known = this.#kept.get(key);
    if (known !== undefined) {
      const token = await known.token;
      if (token.untilMs > this.#clock.monotonic()) return token.header;
    }
    const kept: Kept = { token: this.#ask(scheme, values, fetch) };
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= maxKept && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, kept);
    kept.token.catch(() => this.#forget(key, kept));
    return (await kept.token).header;
  }

  /** It was refused: the next call asks for another. */
  forget(scheme: 'oauth2' | 'oidc', values: OauthValues): void {
    this.#kept.delete(JSON.stringify([scheme, values]));
  }

  #forget(key: string, kept: Kept): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
  }

  async #ask(scheme: 'oauth2' | 'oidc', values: OauthValues, fetch: TokenFetch) {
    const askedAtMs = this.#clock.monotonic();
    const answer = await requestToken(scheme, values, fetch).catch((error: unknown) => {
      throw explain(error);
    });
    const { access_token, token_type, expires_in } = answer;
    requireIssuer(access_token, values.issuers);
    const lifeMs = expires_in === undefined ? assumedLifeMs : expires_in * 1000;
    const type = token_type.toLowerCase() === 'bearer' ? 'Bearer' : token_type;
    return { header: `${type} ${access_token}`, untilMs: askedAtMs + Math.max(0, lifeMs - marginMs) };
  }
}

/**
 * The specification lets a workflow name who may have issued a token. One that says nothing of its issuer cannot be held against that.
 * @throws GatewayError invalid_request (`token_refused`).
 */
function requireIssuer(token: string, issuers: string | undefined): void {
  if (issuers === undefined) return;
  const issuer = issuerOf(token);
  if (issuer !== undefined && issuers.split(' ').includes(issuer)) return;
  throw new GatewayError(
    'invalid_request',
    'The token is not from one of the issuers that the workflow names.',
    {
      reason: 'token_refused',
    },
  );
}

/** The `iss` of a JWT (RFC 7519 section 4.1.1). */
function issuerOf(token: string): string | undefined {
  try {
    const claims = claimsSchema.safeParse(parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')));
    return claims.data?.iss;
  } catch {
    return undefined; // no JWT
  }
}

async function requestToken(
  scheme: 'oauth2' | 'oidc',
  values: OauthValues,
  fetch: TokenFetch,
): Promise<oauth.TokenEndpointResponse> {
  const options = {
    // Which addresses may be reached without TLS is the dialer's to say.
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: (url: string, init: oauth.CustomFetchOptions<string, unknown>) =>
      fetch(new URL(url), init),
  } as const;
  const server = await serverOf(scheme, values, options);
  const { grant = '', client_id = '' } = values;
  const client: oauth.Client = { client_id };
  const response = await oauth.genericTokenEndpointRequest(
    server,
    client,
    clientAuthenticationOf(values),
    grant,
    parametersOf(values),
    options,
  );
  return oauth.processGenericTokenEndpointResponse(server, client, response);
}

/** `oauth2`: the token endpoint under the authority (specification 1.0: `/oauth2/token` unless it says otherwise). `oidc`: discovered. */
async function serverOf(
  scheme: 'oauth2' | 'oidc',
  { authority = '', token_endpoint = '/oauth2/token' }: OauthValues,
  options: oauth.DiscoveryRequestOptions,
): Promise<oauth.AuthorizationServer> {
  const issuer = URL.parse(authority.replace(/\/\.well-known\/openid-configuration$/, ''));
  if (issuer === null) {
    throw new GatewayError('invalid_request', 'The authority is not an http(s) address.', {
      reason: 'http_call_address_invalid',
    });
  }
  if (scheme === 'oidc')
    return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options));
  const base = issuer.href.replace(/\/$/, '');
  const endpoint = URL.canParse(token_endpoint) ? token_endpoint : base + token_endpoint;
  return { issuer: base, token_endpoint: endpoint };
}

function clientAuthenticationOf({ client_secret, client_authentication }: OauthValues): oauth.ClientAuth {
  if (client_secret === undefined || client_authentication === 'none') return oauth.None();
  // The specification's own default.
  if (client_authentication === 'client_secret_basic') return oauth.ClientSecretBasic(client_secret);
  return oauth.ClientSecretPost(client_secret);
}

function parametersOf(values: OauthValues): URLSearchParams {
  const parameters = new URLSearchParams();
  const named = {
    scope: values.scopes,
    username: values.username,
    password: values.password,
    subject_token: values.subject_token,
    subject_token_type: values.subject_token_type,
    actor_token: values.actor_token,
    actor_token_type: values.actor_token_type,
  };
  for (const [name, value] of Object.entries(named)) if (value !== undefined) parameters.set(name, value);
  for (const audience of values.audiences?.split(' ') ?? []) parameters.append('audience', audience);
  return parameters;
}

/** What the server refused will be refused again; anything else may pass. */
function explain(error: unknown): unknown {
  if (error instanceof GatewayError) return error;
  if (error instanceof oauth.ResponseBodyError && error.status < 500) {
    return new GatewayError('invalid_request', `The authority gave no token: ${error.error}.`, {
      reason: 'token_refused',
      details: { upstream_status: error.status },
      cause: error,
    });
  }
  return new GatewayError('upstream_failed', 'The authority gave no token.', {
    reason: 'token_unavailable',
    cause: error,
  });
}
