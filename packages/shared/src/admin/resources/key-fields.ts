import * as z from 'zod';
import type { VirtualKey } from '../../identity/key-store.ts';
import { scopeKinds } from '../../identity/scopes.ts';
import { principalKinds, roles } from '../../identity/tree.ts';
import { moment, showMoment } from './list-page.ts';

const globs = z.array(z.string().min(1).max(256)).max(512);
export const tags = z.array(z.string().min(1).max(100)).max(50);
export const scopes = z.strictObject({
  models: globs.default([]),
  servers: globs.default([]),
  tools: globs.default([]),
  agents: globs.default([]),
  workflows: globs.default([]),
});

export const keyName = z.string().min(1).max(200);

/** What the command writes of a key. */
export const namedScopes = z.strictObject({ name: keyName, scopes });

export const keyAnswer = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string().describe('The first characters of the key; nothing else of it is ever shown again.'),
  organisation: z.string(),
  team: z.string(),
  project: z.string(),
  principal: z.string(),
  principal_kind: z.enum(principalKinds),
  is_admin: z.boolean().describe('Whether it may act on the installation as a whole.'),
  roles: z.array(z.enum(roles)),
  scopes: z.record(z.enum(scopeKinds), z.array(z.string())),
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.string()),
  revision: z.int(),
  created_at: moment,
  expires_at: moment.optional(),
  disabled_at: moment.optional(),
  previous_until: moment.optional().describe('Until when the secret before the last rotation works too.'),
});
export const keyWithSecret = keyAnswer.extend({ key: z.string().describe('The key, shown this once.') });

export function showKey(key: VirtualKey): z.input<typeof keyAnswer> {
  const { models, servers, tools, agents, workflows } = key.scopes;
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    organisation: key.tenant,
    team: key.team,
    project: key.project,
    principal: key.principal,
    principal_kind: key.principalKind,
    is_admin: key.isAdmin,
    roles: [...key.roles],
    scopes: {
      models: [...models],
      servers: [...servers],
      tools: [...tools],
      agents: [...agents],
      workflows: [...workflows],
    },
    tags: [...key.tags],
    metadata: { ...key.metadata },
    revision: key.revision,
    created_at: showMoment(key.createdAtMs),
    expires_at: showMoment(key.expiresAtMs),
    disabled_at: showMoment(key.disabledAtMs),
    previous_until: showMoment(key.previousUntilMs),
  };
}
