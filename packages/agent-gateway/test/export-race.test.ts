import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Claim } from '../src/domain/append.ts';
import type { Journal, RunSummary } from '../src/domain/journal.ts';
import { moveRun } from '../src/pipeline/export-run.ts';
import { createEngines, type Engines, runOf } from './support/engine.ts';
import { definitionOf } from './support/gateway.ts';
import { createMemoryJournal } from './support/memory-journal.ts';
import { progress } from './support/progress.ts';

let engines: Engines;
beforeAll(async () => {
  engines = await createEngines();
});
afterAll(() => engines.close());

test('a run that ends while its export is being asked for is not exported: nothing of it would be taken in', async () => {
  const memory = createMemoryJournal();
  const clock = createManualClock();
  const definition = await engines.read(definitionOf([{ rest: { wait: 'PT1H' } }]));
  const { hash } = definition.workflow;
  await memory.putDefinition({ hash, document: definition.document }, 0);
  const atMs = clock.now();
  await memory.createRun(runOf(definition, { id: 'run_1', input: {}, atMs }));
  const [claim] = (await memory.claim({ owner: 'a', nowMs: atMs, leaseMs: 1000, limit: 1 })) as [Claim];
  const event = { type: 'run-terminated', by: 'somebody else' } as const;
  const end = () =>
    memory.append({
      claim,
      position: 1,
      records: [{ kind: event.type, payload: JSON.stringify(event), atMs }],
      progress: { ...progress, status: 'terminated' },
      atMs,
      isFinal: true,
    });
  const journal: Journal = {
    ...memory,
    async request(...asked) {
      await end();
      return memory.request(...asked);
    },
  };
  const run = (await memory.getRun('default', 'run_1')) as RunSummary; // it was made above
  const moving = moveRun(
    run,
    { by: 'tester', signal: new AbortController().signal },
    { journal, clock, onAsked: () => {}, maxExportBytes: 1e9 },
  );
  await expect(moving).rejects.toMatchObject({ reason: 'run_has_ended' });
});
