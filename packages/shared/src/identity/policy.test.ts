import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { createManualClock } from '../testing/manual-clock.ts';
import type { Caller } from './caller.ts';
import { compilePolicies, decide, explainPolicy, type Resource } from './policy.ts';
import { compileExpression } from './policy-expression.ts';
import { createPolicyGuard } from './policy-guard.ts';
import { type PolicyConfig, policySchema } from './policy-section.ts';
import { allScopes, noScopes } from './scopes.ts';

const caller: Caller = {
  tenant: 'acme',
  team: 'support',
  project: 'triage',
  principal: 'ada',
  principalKind: 'user',
  keyId: 'key_1',
  tags: ['blue', 'eu'],
  roles: ['member'],
  isAdmin: false,
  scopes: allScopes,
  envelope: undefined,
};
const model: Resource = { kind: 'model', name: 'gpt-5', attributes: { provider: 'azure' } };
const request = { gateway: 'ai-gateway', operation: 'openai-chat', nowMs: Date.UTC(2026, 10, 27, 23) };

const rule = (more: Partial<PolicyConfig> & { when: string }): PolicyConfig =>
  policySchema.parse({ name: 'rule', effect: 'deny', ...more });
const decideWith = (rules: PolicyConfig[], who: Caller = caller, what: Resource = model) =>
  decide(compilePolicies(rules), who, what, request);

test('deny by default: what no scope names is refused, whatever policies say', () => {
  const nobody = { ...caller, scopes: noScopes };
  expect(decideWith([rule({ effect: 'allow', when: 'true' })], nobody)).toEqual({
    isAllowed: false,
    reason: 'not_in_scopes',
    rule: 'scopes.models',
  });
  expect(decideWith([])).toEqual({ isAllowed: true, reason: 'allowed', rule: 'scopes.models' });
});

test.each([
  ['principal.team == "support"', true],
  ['"eu" in principal.tags && principal.kind == "user"', true],
  ['principal.tags.exists(tag, tag.startsWith("bl"))', true],
  ['glob(resource.name, "gpt-*") && resource.provider == "azure"', true],
  ['request.now.getHours("UTC") >= 22', true],
  ['envelope.present && "agent:x" in envelope.actors', false],
  ['"owner" in principal.roles', false],
  ['request.operation == "tools/call"', false],
] as const)('a rule that denies where `%s`', (when, holds) => {
  expect(decideWith([rule({ when })]).isAllowed).toBe(!holds);
  expect(decideWith([rule({ when, effect: 'allow' })]).isAllowed).toBe(holds);
});

test('one of the rules that allow must hold; one that denies wins; a rule about something else does not count', () => {
  const yes = rule({ name: 'yes', effect: 'allow', when: 'true' });
  const no = rule({ name: 'no', effect: 'allow', when: 'false' });
  const deny = rule({ name: 'deny', when: 'true' });
  expect(decideWith([no, yes])).toMatchObject({ isAllowed: true, rule: 'yes' });
  expect(decideWith([no])).toMatchObject({ isAllowed: false, reason: 'no_policy_allows', rule: 'no' });
  expect(decideWith([yes, deny])).toMatchObject({
    isAllowed: false,
    reason: 'denied_by_policy',
    rule: 'deny',
  });
  for (const other of [
    { kinds: ['tool' as const] },
    { names: ['claude-*'] },
    { organisations: ['*', '!acme'] },
  ]) {
    expect(decideWith([rule({ ...other, when: 'true' })]).isAllowed).toBe(true);
  }
});

test('a condition that fails counts against the caller, and the explanation says why', () => {
  const deny = rule({ name: 'a', when: 'resource.region == "eu"' });
  const allow = rule({ name: 'b', effect: 'allow', when: 'resource.region == "eu"' });
  const other = rule({ name: 'c', kinds: ['tool'], when: 'true' });
  expect(decideWith([deny])).toMatchObject({ isAllowed: false, rule: 'a' });
  expect(decideWith([allow])).toMatchObject({ isAllowed: false, rule: 'b' });
  expect(explainPolicy(compilePolicies([deny, allow, other]), caller, model, request)).toEqual({
    isAllowed: false,
    reason: 'denied_by_policy',
    rule: 'a',
    findings: [
      {
        rule: 'a',
        effect: 'deny',
        isAbout: true,
        result: 'failed',
        problem: expect.stringContaining('region'),
      },
      {
        rule: 'b',
        effect: 'allow',
        isAbout: true,
        result: 'failed',
        problem: expect.stringContaining('region'),
      },
      { rule: 'c', effect: 'deny', isAbout: false, result: 'not asked' },
    ],
  });
});

test.each([
  ['principal.', 'EOF'],
  ['secrets.pepper == ""', 'Unknown variable'],
  ['1 + 1', 'true or false'],
  ['resource.name.matches("(a+)+$")', 'matches'],
  ['principal.tags.all(a, principal.tags.all(b, principal.tags.all(c, a == b || b == c)))', 'steps'],
  [`[${'1,'.repeat(100)}1].size() > 0`, ''],
  [`${'('.repeat(100)}true${')'.repeat(100)}`, ''],
  ['unknown(principal)', ''],
])('what cannot be a condition is refused when it is read: %s', (source, problem) => {
  const compiled = compileExpression(source);
  expect(compiled).toMatchObject({ type: 'refused', problem: expect.stringContaining(problem) });
  expect(policySchema.safeParse({ name: 'x', effect: 'deny', when: source }).success).toBe(false);
});

test('[G1] no text that compiles reaches outside of what it is given, or costs more than its bound', () => {
  const word = fc.constantFrom(
    'principal',
    'resource',
    'request',
    '.constructor',
    '.__proto__',
    '.prototype',
    '["constructor"]',
    '.tags',
    '.name',
    '("return process")()',
    '.exists(t, ',
    ')',
    ' == ',
    '"x"',
    ' && ',
    'true',
    '!',
    'glob(',
    ', "*")',
    'this',
    'globalThis',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), words => {
      const compiled = compileExpression(words.join(''));
      if (compiled.type === 'refused') return;
      const policies = compilePolicies([rule({ when: words.join('') })]);
      expect(typeof decide(policies, caller, model, request).isAllowed).toBe('boolean');
    }),
    { numRuns: 5000 },
  );
  expect(decideWith([rule({ when: 'principal.constructor == "x"' })]).isAllowed).toBe(false);
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});

test('what does not depend on the request is decided once for a caller and a resource, and anew for the next version of the key', () => {
  const clock = createManualClock();
  const steady = compilePolicies([rule({ when: 'principal.team == "sales"' })]);
  const evaluate = vi.spyOn(steady.rules[0]?.expression ?? { evaluate: () => false }, 'evaluate');
  const guard = createPolicyGuard({ gateway: 'ai-gateway', policies: steady, clock });
  for (let index = 0; index < 10; index++) guard.require(caller, model, 'openai-chat');
  expect(evaluate).toHaveBeenCalledTimes(1);
  guard.require({ ...caller }, model, 'openai-chat');
  guard.require(caller, { ...model, attributes: { provider: 'openai' } }, 'openai-chat');
  expect(evaluate).toHaveBeenCalledTimes(3);

  const hourly = compilePolicies([rule({ when: 'request.now.getHours("UTC") >= 8' })]);
  const inTime = createPolicyGuard({ gateway: 'ai-gateway', policies: hourly, clock });
  expect(inTime.decide(caller, model, 'openai-chat').isAllowed).toBe(true); // the clock stands at midnight
  clock.shiftWallClock(9 * 3_600_000);
  expect(() => inTime.require(caller, model, 'openai-chat')).toThrow(
    expect.objectContaining({
      reason: 'policy_denied',
      details: { decision: 'denied_by_policy', rule: 'rule' },
    }),
  );
});
