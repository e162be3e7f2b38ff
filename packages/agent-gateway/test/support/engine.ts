import { createRequire } from 'node:module';
import { type Clock, systemClock } from '@strata/shared/clock.ts';
import { sharedSections } from '@strata/shared/config/root-schema.ts';
import { LiveCalls } from '@strata/shared/identity/live-calls.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import { createTelemetry } from '@strata/shared/telemetry/telemetry.ts';
import * as z from 'zod';
import { createCompileTrigger } from '../../src/compile-trigger.ts';
import type { NewRun } from '../../src/domain/append.ts';
import type { Effect } from '../../src/domain/effect.ts';
import type { Expressions } from '../../src/domain/expressions.ts';
import type { Journal } from '../../src/domain/journal.ts';
import type { QueuePlace } from '../../src/domain/queue.ts';
import type { TaskTypes } from '../../src/domain/task-type.ts';
import { createDataSchemas } from '../../src/dsl/data-schemas.ts';
import { createDefinitions, type Definition } from '../../src/dsl/definitions.ts';
import { createGrammar } from '../../src/dsl/grammar.ts';
import { Worker } from '../../src/engine/worker.ts';
import { createJqExpressions } from '../../src/expressions/jq-expressions.ts';
import { loadWorkflow } from '../../src/pipeline/load-workflow.ts';
import { taskTypes } from '../../src/tasks/registry.ts';

export interface EngineParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly effects: readonly Effect[];
  readonly random: () => number;
  readonly owner: string;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly pollMs: number;
  readonly maxActiveRuns?: number;
  /** Those that this release knows. */
  readonly types?: TaskTypes;
}

/** The engine without the gateway around it: real workers, on whatever journal, clock and far end a test gives them. */
export async function createEngines({ jq = 'here' }: { jq?: 'here' | 'in threads' } = {}) {
  const { telemetry: config } = z
    .strictObject(sharedSections)
    .parse({ telemetry: { log_level: process.env.STRATA_TEST_LOG ?? 'silent' } });
  const telemetry = createTelemetry({ service: 'agent-gateway', config });
  const expressions = createJqExpressions({
    clock: systemClock,
    threads: 1,
    timeoutMs: 2000,
    maxMemoryBytes: 1 << 26,
    maxOutputBytes: 1 << 20,
    maxQueue: 1000,
  });
  const evaluate = jq === 'here' ? await evaluateHere() : expressions.evaluate;
  const grammar = createGrammar(systemClock);
  const schemas = createDataSchemas(systemClock);
  const definitions = createDefinitions({
    maxLength: () => 1 << 20,
    types: taskTypes,
    expressions,
    grammar,
    schemas,
    checkTrigger: createCompileTrigger(expressions),
  });
  return {
    read: (document: unknown): Promise<Definition> =>
      definitions.read({ value: document, lineOf: () => undefined }),
    worker: ({ journal, clock, effects, random, types = taskTypes, ...options }: EngineParts) =>
      new Worker(
        { maxActiveRuns: 1000, ...options, stopMs: 0 },
        {
          journal,
          clock,
          random,
          expressions: { ...expressions, evaluate },
          schemas,
          policy: { require: () => {} },
          agentPrices: () => [],
          coverEnvelope: async envelope => envelope,
          telemetry,
          types,
          live: new LiveCalls(),
          isUsable: async () => true,
          cancelRun: async () => {},
          effects: new Map(effects.map(effect => [effect.type, effect])),
          issueEnvelope: async () => 'envelope',
          retry: () => ({ maxAttempts: 1000, firstDelayMs: 500, maxDelayMs: 30_000 }),
          limits: () => testLimits,
          loadWorkflow: hash => loadWorkflow(hash, { journal, definitions }),
        },
      ),
    /** No definition will be read any more: what checks them takes memory for a while, which a measurement does not want. */
    endReading: () => grammar.close(),
    async close() {
      await Promise.all([expressions.close(), grammar.close(), schemas.close(), telemetry.shutdown()]);
    },
  };
}

interface Jq {
  raw(json: string, filter: string, flags: readonly string[]): string | undefined;
}

/** jq in this thread: what another thread does takes real time, and simulated time would run away from it. */
async function evaluateHere(): Promise<Expressions['evaluate']> {
  const jq = (await createRequire(import.meta.url)('jq-web')) as Jq; // the package has no types
  return async (source, { data, variables }) => {
    const names = new Set([...source.matchAll(/\$([a-z]\w*)/gi)].map(([, name = '']) => name));
    const bindings = [...names].map(name => `.v.${name} as $${name} | `).join('');
    const given = JSON.stringify({ d: data ?? null, v: variables });
    const lines = (jq.raw(given, `${bindings}.d | ${source}`, ['-c']) ?? '').split('\n').filter(Boolean);
    return lines.length === 0 ? null : JSON.parse(lines[0] ?? 'null');
  };
}

export type Engines = Awaited<ReturnType<typeof createEngines>>;

const testLimits = {
  maxSteps: 20_000,
  maxVisits: 1000,
  maxValueBytes: 1 << 20,
  maxJournalBytes: 1 << 26,
  maxFanOut: 1000,
  maxRepeats: 10,
  maxRunMs: 30 * 86_400_000,
};

export function runOf(
  { workflow }: Definition,
  run: { id: string; input: unknown; atMs: number; queue?: QueuePlace | undefined },
): NewRun {
  const { hash, namespace, name, version } = workflow;
  const { id, input, atMs, queue } = run;
  return {
    id,
    tenant: 'default',
    principal: 'tester',
    definition: hash,
    namespace,
    name,
    version,
    traceId: '0'.repeat(31).concat('1'),
    idempotencyKey: undefined,
    requestDigest: '',
    atMs,
    queue,
    event: {
      type: 'run-created',
      definition: hash,
      workflow: `${namespace}/${name}:${version}`,
      input,
      identity: {
        tenant: 'default',
        principal: 'tester',
        keyId: undefined,
        actors: [],
        scopes: allScopes,
        depth: 4,
      },
      limits: testLimits,
      deadlineAtMs: atMs + 30 * 86_400_000,
      ...(queue !== undefined && { queue }),
      traceparent: `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-01`,
    },
  };
}
