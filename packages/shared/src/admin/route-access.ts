import { GatewayError } from '../errors/gateway-error.ts';
import type { Caller } from '../identity/caller.ts';
import type { Role } from '../identity/tree.ts';
import type { AdminRoute } from './admin-route.ts';

/** Roles of a caller in an organisation: an installation key is owner everywhere, every other key only has roles at home. */
export function rolesOf(caller: Caller): readonly Role[] {
  if (caller.envelope !== undefined) return []; // what was handed on to act for somebody is not handed on to administer
  return caller.isAdmin ? ['owner', ...caller.roles] : caller.roles;
}

/** Deny by default: one of the caller's roles must be in the route's list. @throws GatewayError permission_denied. */
export function requireRole(route: Pick<AdminRoute, 'roles' | 'installationOnly'>, caller: Caller): void {
  const isAllowed = rolesOf(caller).some(role => route.roles.includes(role));
  const reaches = route.installationOnly !== true || (caller.isAdmin && caller.envelope === undefined);
  if (isAllowed && reaches) return;
  throw new GatewayError(
    'permission_denied',
    route.installationOnly === true
      ? 'This route needs a key of the installation.'
      : `This route needs one of the roles ${route.roles.join(', ')}.`,
    { reason: 'role_required' },
  );
}

/** A caller that is a member and nothing more sees its own team. */
export function onlyTeamOf(caller: Caller): string | undefined {
  return rolesOf(caller).every(role => role === 'member') ? caller.team : undefined;
}

/** One answer for what is not there and for what is not the caller's: byte for byte the same (S8). */
export function absent(what: string): GatewayError {
  return new GatewayError('not_found', `There is no such ${what}.`, { reason: 'admin_unknown' });
}
