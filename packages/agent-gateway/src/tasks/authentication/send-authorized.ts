import type { DialResponse } from '@strata/shared/http/dialer.ts';
import type { Credentials } from './credentials.ts';
import { answerChallenge, readChallenge } from './digest.ts';
import type { OauthTokens, TokenFetch } from './oauth-tokens.ts';
import { requireSendable, revealCredentials, type SecretUser, type WorkflowSecrets } from './secrets.ts';

export interface AuthorizedRequest {
  readonly url: URL;
  readonly method: string;
  readonly user: SecretUser;
  /** Sends it, with this `Authorization` header. */
  send(authorization: string | undefined): Promise<DialResponse>;
}

export interface AuthorizationDeps {
  readonly secrets: WorkflowSecrets;
  readonly tokens: OauthTokens;
  readonly fetch: TokenFetch;
}

/**
 * Sends a request with its credentials (RFC 7617, 6750, 7616, 6749). One that is refused with 401, and so was not done, is sent once more
 * when the challenge can be answered or another token may help.
 *
 * @throws GatewayError as `revealCredentials` and `OauthTokens.headerOf`.
 */
export async function sendAuthorized(
  credentials: Credentials | undefined,
  request: AuthorizedRequest,
  deps: AuthorizationDeps,
): Promise<DialResponse> {
  if (credentials === undefined) return request.send(undefined);
  const use = { ...request.user, url: request.url };
  const values = revealCredentials(credentials, use, deps.secrets);
  const { username = '', password = '', token = '' } = values;
  switch (credentials.scheme) {
    case 'basic':
      return request.send(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`);
    case 'bearer':
      return request.send(`Bearer ${token}`);
    case 'digest':
      return sendDigest(request, { username, password });
    case 'oauth2':
    case 'oidc':
      return sendWithToken(credentials, values, request, deps);
  }
}

async function sendDigest(
  { url, method, send }: AuthorizedRequest,
  user: { username: string; password: string },
): Promise<DialResponse> {
  const first = await send(undefined);
  if (first.status !== 401) return first;
  const challenge = readChallenge(first.headers['www-authenticate']);
  if (challenge === undefined) return first;
  first.body.destroy();
  return send(answerChallenge(challenge, { ...user, method, path: url.pathname + url.search }));
}

async function sendWithToken(
  credentials: Credentials,
  values: Readonly<Record<string, string>>,
  { user, send }: AuthorizedRequest,
  { secrets, tokens, fetch }: AuthorizationDeps,
): Promise<DialResponse> {
  const scheme = credentials.scheme === 'oidc' ? 'oidc' : 'oauth2';
  const guarded: TokenFetch = (url, init) => {
    requireSendable(credentials, { ...user, url }, secrets);
    return fetch(url, init);
  };
  const first = await send(await tokens.headerOf(scheme, values, guarded));
  if (first.status !== 401) return first;
  first.body.destroy();
  tokens.forget(scheme, values);
  return send(await tokens.headerOf(scheme, values, guarded));
}
