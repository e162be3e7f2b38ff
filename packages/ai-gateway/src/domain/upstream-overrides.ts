import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ScannedObject } from './json-scan.ts';
import { visitKeys } from './json-scan.ts';

/**
 * Where a request goes is decided by the configuration alone (A1). Nothing here reads these names to route by them; a request
 * that carries one is refused, so that nobody believes it had an effect, and no later code is tempted to give it one.
 */
const names = new Set([
  'baseurl',
  'apibase',
  'apihost',
  'apiurl',
  'customhost',
  'endpointurl',
  'azureendpoint',
  'proxy',
  'proxyurl',
  'upstreamurl',
  'targeturl',
]);

const headerNames = new Set([
  'x-base-url',
  'x-api-base',
  'x-custom-host',
  'x-portkey-custom-host',
  'x-proxy-url',
  'x-upstream-url',
  'x-target-url',
]);

/**
 * Refuses such names at every depth of the options, however they are written (`base_url`, `baseURL`, `Base-Url`). `content`
 * names the members with the caller's own data (messages, tool schemas), in which any key is fair.
 *
 * @throws GatewayError invalid_request (`upstream_override`).
 */
export function refuseUpstreamOverrides(
  body: Buffer,
  scanned: ScannedObject,
  content: ReadonlySet<string>,
): void {
  for (const { key, value } of scanned.members) {
    if (content.has(key)) continue;
    refuse(key, key);
    const first = body[value.start];
    if (first === openBrace || first === openBracket)
      visitKeys(body, value, inner => refuse(inner, `${key}…${inner}`));
  }
}

const openBrace = 0x7b;
const openBracket = 0x5b;

/** @throws GatewayError invalid_request (`upstream_override`). */
export function refuseOverrideHeaders(headers: IncomingHttpHeaders): void {
  for (const name in headers) {
    if (headerNames.has(name)) throw overrideError(name);
  }
}

/** For forms, whose fields have no depth. @throws GatewayError invalid_request (`upstream_override`). */
export function refuseOverrideField(name: string): void {
  refuse(name, name);
}

function refuse(key: string, param: string): void {
  if (!mayBeOverride(key) || !names.has(key.toLowerCase().replace(/[^a-z]/g, ''))) return;
  throw overrideError(param);
}

/** All forbidden names are this long with their separators; most keys of a request are told apart by length alone. */
function mayBeOverride(key: string): boolean {
  return key.length >= 5 && key.length <= 24;
}

function overrideError(param: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `'${param}' would choose the upstream, which only the configuration of the gateway does. Remove it.`,
    { reason: 'upstream_override', param },
  );
}
