import {
  type Envelope,
  type EnvelopeGrant,
  envelopeHeader,
  gatewayNames,
  maxEnvelopeDepth,
  type Narrowing,
  narrow,
} from '@strata/shared/identity/envelope.ts';
import { matchesScope, type Scopes, scopeKinds } from '@strata/shared/identity/scopes.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

/** Every name over two letters that is short: what a glob allows is then a set that can be compared. */
const names = ['', 'a', 'b', 'aa', 'ab', 'ba', 'bb', 'aba', 'bab', 'abab'];
const patterns = fc.array(fc.stringMatching(/^!?[ab*]{0,3}$/), { maxLength: 3 });
const scopes: fc.Arbitrary<Scopes> = fc.record({
  models: patterns,
  servers: patterns,
  tools: patterns,
  agents: patterns,
  workflows: patterns,
});
const grant: fc.Arbitrary<EnvelopeGrant> = fc.record({
  id: fc.constantFrom('grant_1', 'grant_2'),
  remainingNanoUsd: fc.bigInt({ min: 0n, max: 2n ** 70n }),
});
const text = fc.stringMatching(/^[a-z]{1,6}$/);
const deadline = fc.integer({ min: 1, max: 10_000 });

const root: fc.Arbitrary<Envelope> = fc.record({
  issuer: fc.constantFrom(...gatewayNames),
  tenant: text,
  team: text,
  project: text,
  subject: text,
  principalKind: fc.constantFrom('user', 'service', 'agent'),
  keyId: fc.option(text, { nil: undefined }),
  tags: fc.array(text, { maxLength: 3 }),
  actors: fc.array(text, { maxLength: 3 }),
  scopes,
  grant: fc.option(grant, { nil: undefined }),
  runId: fc.option(text, { nil: undefined }),
  taskId: fc.option(text, { nil: undefined }),
  deadlineAtMs: fc.option(deadline, { nil: undefined }),
  depth: fc.integer({ min: 0, max: maxEnvelopeDepth }),
});
const change: fc.Arbitrary<Narrowing> = fc.record(
  {
    actor: text,
    scopes,
    grant,
    runId: text,
    taskId: text,
    deadlineAtMs: deadline,
    depth: fc.integer({ min: -2, max: 100 }),
  },
  { requiredKeys: [] },
);

/** What an envelope allows, as sets and numbers: the model of which every hop may only take away. */
function powerOf(envelope: Envelope) {
  return {
    allowed: new Set(
      scopeKinds.flatMap(kind =>
        names.filter(name => matchesScope(envelope.scopes[kind], name)).map(name => `${kind}:${name}`),
      ),
    ),
    nanoUsd: envelope.grant?.remainingNanoUsd,
    deadlineAtMs: envelope.deadlineAtMs ?? Number.POSITIVE_INFINITY,
    depth: envelope.depth,
  };
}

const kept = ['tenant', 'team', 'project', 'subject', 'principalKind', 'keyId', 'tags'] as const;

test('[W7] whatever chain of hops: scopes, grant, deadline and depth only shrink, and who asked stays', () => {
  fc.assert(
    fc.property(root, fc.array(change, { minLength: 1, maxLength: 6 }), (first, changes) => {
      let envelope = first;
      for (const each of changes) {
        const before = powerOf(envelope);
        const next = narrow(envelope, each);
        const after = powerOf(next);
        for (const name of after.allowed) if (!before.allowed.has(name)) throw new Error(`${name} was added`);
        for (const kind of scopeKinds) {
          const wanted = each.scopes?.[kind];
          if (wanted === undefined) continue;
          for (const name of names) {
            if (after.allowed.has(`${kind}:${name}`) && !matchesScope(wanted, name))
              throw new Error(`${name} was not asked for`);
          }
        }
        const spendable = after.nanoUsd ?? 2n ** 99n;
        const isShrunk =
          spendable <= (before.nanoUsd ?? 2n ** 99n) &&
          spendable <= (each.grant?.remainingNanoUsd ?? 2n ** 99n) &&
          after.deadlineAtMs <= before.deadlineAtMs &&
          after.depth < before.depth;
        if (!isShrunk) throw new Error('A hop added to what was left');
        envelope = next;
      }
      for (const name of kept) if (envelope[name] !== first[name]) throw new Error(`${name} was changed`);
      const acted = changes.map(each => each.actor).filter(actor => actor !== undefined);
      if (envelope.actors.join() !== [...acted.reverse(), ...first.actors].join())
        throw new Error('The chain of actors was changed');
    }),
    modelRuns('envelopes', 'memory'),
  );
});

/** Three gateways that share one store, and nothing else. */
function tokenTests(
  name: string,
  storeConfig: () => Promise<Record<string, unknown>>,
  runs: () => ReturnType<typeof modelRuns>,
): void {
  describe(`envelopes of gateways that share ${name}`, () => {
    const clock = createManualClock();
    let agent: TestDeps;
    let others: TestDeps[];
    beforeAll(async () => {
      const config = await storeConfig();
      agent = await createTestDeps({ name: 'agent-gateway', clock, config });
      const { dataDir } = agent;
      others = [
        await createTestDeps({ name: 'ai-gateway', clock, dataDir, config }),
        await createTestDeps({ name: 'mcp-gateway', clock, dataDir, config }),
      ];
    });
    afterAll(async () => {
      for (const deps of [...others, agent]) await deps.close();
    });

    test('every envelope says at its audience what was signed, and nothing at any other', async () => {
      await fc.assert(
        fc.asyncProperty(root, async random => {
          const envelope: Omit<Envelope, 'issuer'> = {
            ...random,
            keyId: undefined,
            ...(random.deadlineAtMs !== undefined && { deadlineAtMs: clock.now() + random.deadlineAtMs }),
          };
          const token = await agent.envelopes.issue(envelope, 'ai-gateway');
          for (const deps of [...others, agent]) {
            const caller = await deps.authenticate({ [envelopeHeader]: token }).catch(() => undefined);
            const isMeant = deps.name === 'ai-gateway';
            expect(caller?.envelope).toEqual(isMeant ? { ...envelope, issuer: 'agent-gateway' } : undefined);
          }
        }),
        runs(),
      );
    });
  });
}

tokenTests(
  'SQLite',
  async () => ({}),
  () => modelRuns('envelopes', 'SQLite'),
);
if (isMissing(postgres))
  test.skip(`envelopes of gateways that share PostgreSQL: ${postgres.missing}`, () => {});
else
  tokenTests(
    'PostgreSQL',
    async () => ({ store: { url: await postgres.createDatabase() } }),
    () => modelRuns('envelopes', 'PostgreSQL'),
  );
