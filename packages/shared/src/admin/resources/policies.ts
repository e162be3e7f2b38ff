import * as z from 'zod';
import type { Caller } from '../../identity/caller.ts';
import type { VirtualKey } from '../../identity/key-store.ts';
import { explainPolicy } from '../../identity/policy.ts';
import { resourceKinds } from '../../identity/policy-section.ts';
import { matchesScope } from '../../identity/scopes.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminRoute, defineRoute } from '../admin-route.ts';
import { findKey } from './keys.ts';

const readers = ['owner', 'operator', 'auditor'] as const;
const effect = z.enum(['allow', 'deny']);

/** The rules of the configuration, and what they would decide. */
export function policyRoutes(deps: AdminDeps): AdminRoute[] {
  return [listPolicies(deps), explain(deps)];
}

function listPolicies({ policy }: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/policies',
    operation: 'policy.list',
    summary: 'The rules that concern the organisation. They are changed in the configuration.',
    roles: readers,
    answer: z.object({
      items: z.array(
        z.object({
          name: z.string(),
          effect,
          kinds: z.array(z.enum(resourceKinds)),
          names: z.array(z.string()),
        }),
      ),
    }),
    handle: async (_input, { tenant }) => ({
      body: {
        items: policy.policies.rules
          .filter(rule => matchesScope(rule.organisations, tenant))
          .map(({ name, effect: its, kinds, names }) => ({
            name,
            effect: its,
            kinds: [...kinds],
            names: [...names],
          })),
      },
    }),
  });
}

function explain(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/policy/explain',
    operation: 'policy.explain',
    summary:
      'What would be decided for a key, and how each rule saw it. Nothing is done and nothing counted.',
    roles: readers,
    body: z.strictObject({
      key_id: z.string().max(200),
      kind: z.enum(resourceKinds),
      name: z.string().min(1).max(512),
      attributes: z.record(z.string().max(100), z.string().max(1000)).optional(),
      operation: z
        .string()
        .max(100)
        .default('explain')
        .describe('As the gateway would call it: `tools/call`.'),
    }),
    answer: z.object({
      is_allowed: z.boolean(),
      reason: z.string(),
      rule: z.string().describe('The rule that decided.'),
      findings: z.array(
        z.object({
          rule: z.string(),
          effect,
          is_about: z.boolean(),
          result: z.enum(['holds', 'does not hold', 'failed', 'not asked']),
          problem: z.string().optional(),
        }),
      ),
    }),
    handle: async ({ body }, context) => {
      const key = await findKey(deps, context, body.key_id);
      const { kind, name, attributes, operation } = body;
      const { isAllowed, reason, rule, findings } = explainPolicy(
        deps.policy.policies,
        asCaller(key),
        { kind, name, ...(attributes && { attributes }) },
        { gateway: deps.name, operation, nowMs: deps.clock.now() },
      );
      const shown = findings
        .filter(each => each.isAbout)
        .map(({ isAbout, ...rest }) => ({ ...rest, is_about: isAbout }));
      return { body: { is_allowed: isAllowed, reason, rule, findings: shown } };
    },
  });
}

/** Whoever shows the key. */
function asCaller(key: VirtualKey): Caller {
  const { tenant, team, project, principal, principalKind, id, tags, roles, isAdmin, scopes } = key;
  return {
    tenant,
    team,
    project,
    principal,
    principalKind,
    keyId: id,
    tags,
    roles,
    isAdmin,
    scopes,
    envelope: undefined,
  };
}
