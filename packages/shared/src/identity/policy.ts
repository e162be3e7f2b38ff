import type { Caller } from './caller.ts';
import {
  compileExpression,
  maxListLength,
  type PolicyActivation,
  type PolicyExpression,
} from './policy-expression.ts';
import type { PolicyConfig, ResourceKind } from './policy-section.ts';
import { matchesScope, type ScopeKind } from './scopes.ts';

export interface Resource {
  readonly kind: ResourceKind;
  readonly name: string;
  /** What else conditions may ask of it, as `resource.<name>`: the provider of a model, the server of a tool. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface PolicyRequest {
  readonly gateway: string;
  /** What is done, in the words of the protocol: `openai-chat`, `tools/call`, `submit`. */
  readonly operation: string;
  /** Wall clock milliseconds. */
  readonly nowMs: number;
}

export type Verdict = 'allowed' | 'not_in_scopes' | 'denied_by_policy' | 'no_policy_allows';

export interface Decision {
  readonly isAllowed: boolean;
  readonly reason: Verdict;
  /** The rule that decided: `scopes.models`, or the name of a policy. */
  readonly rule: string;
}

/** How each rule saw the request. */
export interface RuleFinding {
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  readonly isAbout: boolean;
  readonly result: 'holds' | 'does not hold' | 'failed' | 'not asked';
  /** Why the condition could not be evaluated. */
  readonly problem?: string;
}

export interface Explanation extends Decision {
  readonly findings: readonly RuleFinding[];
}

interface Rule extends Pick<PolicyConfig, 'name' | 'effect' | 'kinds' | 'names' | 'organisations'> {
  readonly expression: PolicyExpression;
}

/** All rules, compiled once. */
export interface PolicySet {
  readonly rules: readonly Rule[];
}

export function compilePolicies(configs: readonly PolicyConfig[]): PolicySet {
  const rules = configs.map(config => {
    const compiled = compileExpression(config.when);
    if (compiled.type === 'refused') throw new Error(`The policy '${config.name}': ${compiled.problem}`);
    return { ...config, expression: compiled.expression };
  });
  return { rules };
}

const scopeOf: Readonly<Record<ResourceKind, ScopeKind>> = {
  model: 'models',
  server: 'servers',
  tool: 'tools',
  agent: 'agents',
  workflow: 'workflows',
};

/**
 * Whether the caller may use the resource: deny by default. The scopes must allow it, no `deny` rule may hold, and where there are `allow`
 * rules about it, one must. A condition that fails counts against the caller. Nothing here adds to scopes, so an envelope that was
 * narrowed stays narrow (W7).
 */
export function decide(
  policies: PolicySet,
  caller: Caller,
  resource: Resource,
  request: PolicyRequest,
): Decision {
  const byScopes = decideByScopes(caller, resource);
  if (!byScopes.isAllowed) return byScopes;
  const rules = rulesAbout(policies, caller, resource);
  if (rules.length === 0) return byScopes;
  const activation = activationOf(caller, resource, request);
  let missing: string | undefined;
  let granting: string | undefined;
  for (const rule of rules) {
    const { result } = ask(rule, activation);
    if (rule.effect === 'deny' && result !== 'does not hold') return refuse('denied_by_policy', rule.name);
    if (rule.effect === 'allow' && result === 'holds') granting ??= rule.name;
    if (rule.effect === 'allow' && result !== 'holds') missing ??= rule.name;
  }
  if (granting === undefined && missing !== undefined) return refuse('no_policy_allows', missing);
  return granting === undefined ? byScopes : allow(granting);
}

/** What the scopes alone say. */
export function decideByScopes(caller: Caller, { kind, name }: Resource): Decision {
  const scope = scopeOf[kind];
  return matchesScope(caller.scopes[scope], name)
    ? allowedBy[scope]
    : refuse('not_in_scopes', `scopes.${scope}`);
}

const allowedBy: Readonly<Record<ScopeKind, Decision>> = {
  models: allow('scopes.models'),
  servers: allow('scopes.servers'),
  tools: allow('scopes.tools'),
  agents: allow('scopes.agents'),
  workflows: allow('scopes.workflows'),
};

/** The same decision, with how every rule saw it. For a dry run: it changes nothing and is not counted. */
export function explainPolicy(
  policies: PolicySet,
  caller: Caller,
  resource: Resource,
  request: PolicyRequest,
): Explanation {
  const about = new Set(rulesAbout(policies, caller, resource));
  const activation = activationOf(caller, resource, request);
  const findings = policies.rules.map((rule): RuleFinding => {
    const { name, effect } = rule;
    if (!about.has(rule)) return { rule: name, effect, isAbout: false, result: 'not asked' };
    return { rule: name, effect, isAbout: true, ...ask(rule, activation) };
  });
  return { ...decide(policies, caller, resource, request), findings };
}

/** Whether the decision is the same for every request of the caller for the resource. */
export function isSteady(policies: PolicySet, caller: Caller, resource: Resource): boolean {
  return !rulesAbout(policies, caller, resource).some(rule => rule.expression.usesRequest);
}

function rulesAbout({ rules }: PolicySet, caller: Caller, resource: Resource): readonly Rule[] {
  if (rules.length === 0) return rules;
  return rules.filter(
    ({ kinds, names, organisations }) =>
      kinds.includes(resource.kind) &&
      matchesScope(names, resource.name) &&
      matchesScope(organisations, caller.tenant),
  );
}

function ask(rule: Rule, activation: PolicyActivation): Pick<RuleFinding, 'result' | 'problem'> {
  try {
    return { result: rule.expression.evaluate(activation) ? 'holds' : 'does not hold' };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { result: 'failed', problem: problem.split('\n', 1)[0] ?? problem };
  }
}

function allow(rule: string): Decision {
  return decided('allowed', rule);
}

function refuse(reason: Exclude<Verdict, 'allowed'>, rule: string): Decision {
  return decided(reason, rule);
}

function decided(reason: Verdict, rule: string): Decision {
  return { isAllowed: reason === 'allowed', reason, rule };
}

/** Plain values under the names that conditions use. Whole numbers are CEL's `int`. */
function activationOf(caller: Caller, resource: Resource, request: PolicyRequest): PolicyActivation {
  const { envelope } = caller;
  return {
    principal: {
      organisation: caller.tenant,
      team: caller.team,
      project: caller.project,
      id: caller.principal,
      kind: caller.principalKind,
      key: caller.keyId ?? '',
      tags: caller.tags.slice(0, maxListLength),
      roles: caller.roles,
    },
    resource: { ...resource.attributes, kind: resource.kind, name: resource.name },
    request: { gateway: request.gateway, operation: request.operation, now: new Date(request.nowMs) },
    envelope: {
      present: envelope !== undefined,
      issuer: envelope?.issuer ?? '',
      actors: envelope?.actors.slice(0, maxListLength) ?? [],
      run: envelope?.runId ?? '',
      task: envelope?.taskId ?? '',
      depth: BigInt(envelope?.depth ?? 0),
    },
  };
}
