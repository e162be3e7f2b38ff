import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import type { OpenWorkflow } from 'openworkflow';
import type { Journal } from '../packages/agent-gateway/src/domain/journal.ts';
import type { Definition } from '../packages/agent-gateway/src/dsl/definitions.ts';
import { openPostgresJournal } from '../packages/agent-gateway/src/journal/postgres/postgres-journal.ts';
import { openSqliteJournal } from '../packages/agent-gateway/src/journal/sqlite/sqlite-journal.ts';
import { createEngines, runOf } from '../packages/agent-gateway/test/support/engine.ts';

export interface Place {
  readonly folder: string;
  readonly postgresUrl: string;
}

/** Something that runs workflows of so many trivial steps. */
export interface EngineCandidate {
  /** Runs one and waits for its end. */
  run(): Promise<void>;
  /** Submits one of few steps; resolves when its first step has begun, with how long that took. */
  startMs?(): Promise<number>;
  /** Times of single appends in milliseconds, as far as the candidate shows them. */
  readonly appendMs: readonly number[];
  close(): Promise<void>;
}

/** Loaded only when it is measured, so that one candidate's code is not another's memory. Every candidate keeps each step durable before the next begins. Ours also records that the step starts, before it does. */
export const candidates: Readonly<Record<string, (place: Place, steps: number) => Promise<EngineCandidate>>> =
  {
    'strata-sqlite': async ({ folder }, steps) =>
      openStrata(await openSqliteJournal(join(folder, 'strata.sqlite')), steps),
    'strata-postgres': async ({ postgresUrl }, steps) =>
      openStrata(
        await openPostgresJournal({
          url: postgresUrl,
          poolSize: 6,
          connectTimeoutMs: 5000,
          statementTimeoutMs: 10_000,
          clock: systemClock,
          usesServerTime: true,
        }),
        steps,
      ),
    'openworkflow-sqlite': async ({ folder }, steps) => {
      const { BackendSqlite } = await import('openworkflow/sqlite');
      return openOpenWorkflow(BackendSqlite.connect(join(folder, 'openworkflow.sqlite')), steps);
    },
    'openworkflow-postgres': async ({ postgresUrl }, steps) => {
      const { BackendPostgres } = await import('openworkflow/postgres');
      return openOpenWorkflow(await BackendPostgres.connect(postgresUrl), steps);
    },
    'dbos-postgres': ({ postgresUrl }, steps) => openDbos(postgresUrl, steps),
  };

const shortSteps = 5;

async function openStrata(journal: Journal, steps: number): Promise<EngineCandidate> {
  const engines = await createEngines({ jq: 'in threads' });
  const ofSteps = async (length: number) => {
    const definition = await engines.read({
      document: { dsl: '1.0.3', namespace: 'bench', name: `steps-${length}`, version: '1.0.0' },
      do: Array.from({ length }, (_, index) => ({
        [`step-${index}`]: { call: 'http', with: { method: 'get', endpoint: 'http://far.test/' } },
      })),
    });
    const { hash } = definition.workflow;
    await journal.putDefinition({ hash, document: definition.document }, systemClock.now());
    return definition;
  };
  const long = await ofSteps(steps);
  const short = await ofSteps(shortSteps);
  await engines.endReading(); // in a gateway that thread ends by itself after ten seconds
  const appendMs: number[] = [];
  const begun = new Map<string, () => void>();
  const ended = new Map<string, () => void>();
  const measured: Journal = {
    ...journal,
    async append(append) {
      const startedAtMs = performance.now();
      const isWritten = await journal.append(append);
      appendMs.push(performance.now() - startedAtMs);
      if (append.isFinal) {
        ended.get(append.claim.runId)?.();
        ended.delete(append.claim.runId);
      }
      return isWritten;
    },
  };
  const worker = engines.worker({
    journal: measured,
    clock: systemClock,
    effects: [
      {
        type: 'http',
        async perform(_request, { runId }) {
          begun.get(runId)?.();
          begun.delete(runId);
          return { result: { status: 200, isProblem: false, headers: {}, content: { ok: true } } };
        },
      },
    ],
    random: Math.random,
    owner: 'bench',
    leaseMs: 15_000,
    heartbeatMs: 5000,
    pollMs: 2000,
  });
  worker.start();
  let count = 0;
  const submit = async (definition: Definition) => {
    const id = `run_${process.pid}_${count++}`;
    const isBegun = new Promise<void>(resolve => begun.set(id, resolve));
    const isEnded = new Promise<void>(resolve => ended.set(id, resolve));
    await worker.create(runOf(definition, { id, input: {}, atMs: systemClock.now() }));
    return { isBegun, isEnded };
  };
  return {
    appendMs,
    run: async () => (await submit(long)).isEnded,
    async startMs() {
      const startedAtMs = performance.now();
      await (await submit(short)).isBegun;
      return performance.now() - startedAtMs;
    },
    async close() {
      await worker.stop();
      await journal.close();
      await engines.close();
    },
  };
}

type Backend = ConstructorParameters<typeof OpenWorkflow>[0]['backend'];

async function openOpenWorkflow(backend: Backend, steps: number): Promise<EngineCandidate> {
  const { OpenWorkflow: Engine } = await import('openworkflow');
  const engine = new Engine({ backend });
  const workflow = engine.defineWorkflow({ name: 'steps' }, async ({ step }) => {
    for (let index = 0; index < steps; index++) await step.run({ name: `step-${index}` }, async () => index);
    return steps;
  });
  const worker = engine.newWorker({ concurrency: 50 });
  await worker.start();
  return {
    appendMs: [],
    async run() {
      const handle = await workflow.run({});
      await handle.result();
    },
    async close() {
      await worker.stop();
      await backend.stop();
    },
  };
}

async function openDbos(systemDatabaseUrl: string, steps: number): Promise<EngineCandidate> {
  const { DBOS } = await import('@dbos-inc/dbos-sdk');
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl, logLevel: 'error' });
  const workflow = DBOS.registerWorkflow(
    async () => {
      for (let index = 0; index < steps; index++)
        await DBOS.runStep(async () => index, { name: `step-${index}` });
      return steps;
    },
    { name: 'steps' },
  );
  await DBOS.launch();
  return {
    appendMs: [],
    async run() {
      const handle = await DBOS.startWorkflow(workflow)();
      await handle.getResult();
    },
    close: () => DBOS.shutdown(),
  };
}
