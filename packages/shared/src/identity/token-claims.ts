import type { JWTPayload } from 'jose';
import type { IssuerConfig } from './issuers-section.ts';
import { matchesScope, noScopes, type Scopes, scopeKinds } from './scopes.ts';
import { defaultProjectOf, nodeIdSchema, type Role, type TreePath } from './tree.ts';

/** What the claims of a token come to under the configuration of its issuer. */
export interface MappedClaims {
  readonly path: TreePath;
  readonly scopes: Scopes;
  readonly roles: readonly Role[];
  readonly tags: readonly string[];
}

/** A claim that is needed is missing, or names what the configuration does not allow. */
export class ClaimRefused extends Error {
  readonly claim: string;

  constructor(claim: string) {
    super(`The claim '${claim}' is missing or not allowed`);
    this.claim = claim;
  }
}

/** @throws ClaimRefused */
export function mapClaims(payload: JWTPayload, config: IssuerConfig): MappedClaims {
  const tenant = placeOf(payload, config.organisation);
  const team = placeOf(payload, config.team);
  const project = config.project === undefined ? defaultProjectOf(team) : placeOf(payload, config.project);
  const name = claimOf(payload, config.principal_claim);
  const isNamed = typeof name === 'string' && name !== ''; // a prefix alone is nobody
  const principal = isNamed ? nodeId(config.principal_prefix + name) : undefined;
  if (principal === undefined) throw new ClaimRefused(config.principal_claim);
  const grants = config.grants.filter(grant =>
    wordsOf(claimOf(payload, grant.claim)).some(word => matchesScope(grant.values, word)),
  );
  const path = { tenant, team, project, principal, principalKind: config.principal_kind };
  return {
    path,
    scopes: addUp(grants.map(grant => grant.scopes)),
    roles: [...new Set(grants.flatMap(grant => grant.roles))],
    tags: [...new Set(grants.flatMap(grant => grant.tags))],
  };
}

function placeOf(payload: JWTPayload, place: IssuerConfig['organisation']): string {
  if (typeof place === 'string') return place;
  const value = claimOf(payload, place.claim);
  const id = typeof value === 'string' && matchesScope(place.allowed, value) ? nodeId(value) : undefined;
  if (id === undefined) throw new ClaimRefused(place.claim);
  return id;
}

function nodeId(text: string): string | undefined {
  return nodeIdSchema.safeParse(text).success ? text : undefined;
}

/** A claim whose very name holds dots (`https://example.com/org`) comes before a way into an object. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** `scope` and its like are one text of words (RFC 8693 section 4.2). */
function wordsOf(value: unknown): string[] {
  if (typeof value === 'string') return value.split(' ').filter(Boolean);
  if (typeof value === 'boolean' || typeof value === 'number') return [String(value)];
  return Array.isArray(value) ? value.filter(each => typeof each === 'string') : [];
}

/** All globs together: what one grant forbids stays forbidden. */
function addUp(all: readonly Scopes[]): Scopes {
  const sum: Record<string, readonly string[]> = {};
  for (const kind of scopeKinds) sum[kind] = [...new Set(all.flatMap(scopes => scopes[kind]))];
  return { ...noScopes, ...sum };
}
