import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Envelope } from '@strata/shared/identity/envelope.ts';
import { readScopes } from '@strata/shared/identity/scopes.ts';
import { defaultProject, defaultTeam } from '@strata/shared/identity/tree.ts';
import type { RunState } from '../domain/run-state.ts';

interface OfRun {
  readonly runId: string;
  readonly state: RunState;
}

/** What the run itself may do, before a call of one of its tasks narrows it (W7). */
export function runEnvelope({ runId, state }: OfRun): Envelope {
  const { identity } = state;
  return {
    issuer: 'agent-gateway',
    tenant: identity.tenant,
    team: identity.team ?? defaultTeam,
    project: identity.project ?? defaultProject,
    subject: identity.principal,
    principalKind: identity.principalKind ?? 'user',
    keyId: identity.keyId,
    tags: identity.tags ?? [],
    grant: identity.budget && {
      id: identity.budget.id,
      remainingNanoUsd: BigInt(identity.budget.remainingNanoUsd),
    },
    actors: identity.actors,
    scopes: readScopes(identity.scopes),
    runId,
    taskId: undefined,
    deadlineAtMs: Math.min(state.deadlineAtMs, state.expiresAtMs),
    depth: identity.depth,
  };
}

/** In whose name the run asks for more: as who started it asked, and for a run that another started with what that one passed on. */
export function runCaller(of: OfRun): Caller {
  const envelope = runEnvelope(of);
  const { issuer: _issuer, subject: principal, keyId, tags, scopes, tenant, team, project } = envelope;
  const isPassedOn = envelope.actors.length > 0;
  return {
    tenant,
    team,
    project,
    principal,
    principalKind: envelope.principalKind,
    keyId,
    tags,
    scopes,
    roles: [],
    isAdmin: false,
    envelope: isPassedOn ? envelope : undefined,
  };
}
