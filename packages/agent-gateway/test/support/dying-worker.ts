import { systemClock } from '@strata/shared/clock.ts';
import type { Journal } from '../../src/domain/journal.ts';
import { openPostgresJournal } from '../../src/journal/postgres/postgres-journal.ts';
import { openSqliteJournal } from '../../src/journal/sqlite/sqlite-journal.ts';
import { createEngines } from './engine.ts';
import { effectsTo } from './every-task.ts';

/** What a worker process is told: when to die. It is a real process, and SIGKILL is how it dies. */
export interface Death {
  /** Of the appends and releases of this process, counted from 1. */
  readonly at: number;
  readonly isWritten: boolean;
}

/** Where its journal is, and its far end. */
export interface DyingWorkerPlace {
  readonly sqlite?: string;
  readonly postgres?: string;
  readonly far: string;
}

// Before anything takes time: the test may be over by then, and nobody says so a second time.
process.once('disconnect', () => process.exit());
if (!process.connected) process.exit();
const place = JSON.parse(process.argv[2] ?? '{}') as DyingWorkerPlace; // of the test that starts it
const journal = await open(place);
const engines = await createEngines();
process.once('message', message => work(message as Death));
process.send?.({ type: 'ready' });

function open({ sqlite, postgres }: DyingWorkerPlace): Promise<Journal> {
  if (sqlite !== undefined) return openSqliteJournal(sqlite);
  return openPostgresJournal({
    url: postgres ?? '',
    poolSize: 2,
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    clock: systemClock,
    usesServerTime: false,
  });
}

function work(death: Death): void {
  const worker = engines.worker({
    journal: dyingJournal(death),
    clock: systemClock,
    effects: effectsTo(async (type, request, of) => {
      const response = await fetch(place.far, {
        method: 'POST',
        body: JSON.stringify({ type, request, ...of }),
      });
      return response.json();
    }),
    random: Math.random,
    owner: `dying-${process.pid}`,
    leaseMs: 15_000,
    heartbeatMs: 5000,
    pollMs: 20,
  });
  worker.start();
}

function dyingJournal({ at, isWritten }: Death): Journal {
  let boundaries = 0;
  const counted = async <Value>(write: () => Promise<Value>): Promise<Value> => {
    const isLast = ++boundaries === at;
    if (isLast && !isWritten) process.kill(process.pid, 'SIGKILL');
    const value = await write();
    if (isLast) process.kill(process.pid, 'SIGKILL');
    return value;
  };
  return {
    ...journal,
    append: append => counted(() => journal.append(append)),
    release: (claim, options) => counted(() => journal.release(claim, options)),
  };
}
