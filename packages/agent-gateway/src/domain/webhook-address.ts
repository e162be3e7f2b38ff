import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { createOrigin, type Origin } from '@strata/shared/http/origin.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';

export interface WebhookHosts {
  /** Globs over `host` or `host:port`. */
  readonly allowedHosts: readonly string[];
  /** Those of them that may be on private addresses. */
  readonly privateHosts: readonly string[];
}

/**
 * Where a webhook is reached. What its name leads to is judged when it is dialled.
 * @throws GatewayError invalid_request (`webhook_address_invalid`), permission_denied (`webhook_host_not_allowed`, and as `createOrigin`).
 */
export function webhookAddress(text: string, hosts: WebhookHosts): { origin: Origin; path: string } {
  const url = URL.parse(text);
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === null || !isWeb) throw invalid('it is no http(s) address');
  if (url.username !== '' || url.password !== '') throw invalid('it has credentials in it');
  // Also an empty one, which `hash` does not tell: no request takes it along.
  if (url.href.includes('#')) throw invalid('it has a fragment (`#…`), which no request takes along');
  const isAmong = (patterns: readonly string[]) =>
    [url.host, url.hostname].some(host => matchesScope(patterns, host));
  const isPrivate = isAmong(hosts.privateHosts);
  if (!isAmong(hosts.allowedHosts) || (url.protocol === 'http:' && !isPrivate)) {
    throw new GatewayError(
      'permission_denied',
      `Webhooks may not be at '${url.origin}' here: https, and a host that is allowed.`,
      { reason: 'webhook_host_not_allowed', param: '/url' },
    );
  }
  return {
    origin: createOrigin({ name: url.host, url: url.origin, allowPrivate: isPrivate }),
    path: url.pathname + url.search,
  };
}

function invalid(problem: string): GatewayError {
  return new GatewayError('invalid_request', `A webhook cannot be at this address: ${problem}.`, {
    reason: 'webhook_address_invalid',
    param: '/url',
  });
}
