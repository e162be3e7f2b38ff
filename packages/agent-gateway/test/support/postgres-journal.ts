import { systemClock } from '@strata/shared/clock.ts';
import { type PostgresServer, startPostgres } from '@strata/shared/testing/postgres-server.ts';
import type { Journal } from '../../src/domain/journal.ts';
import { openPostgresJournal } from '../../src/journal/postgres/postgres-journal.ts';

export interface TestPostgres {
  readonly server: PostgresServer;
  /** On a database of its own, by the time that the caller gives. */
  openJournal(url?: string): Promise<Journal>;
  close(): Promise<void>;
}

/** A private server; every journal is opened on an empty database unless a url is given. */
export async function openTestPostgres(): Promise<TestPostgres> {
  const started = await startPostgres();
  if ('missing' in started) throw new Error(started.missing);
  return {
    server: started,
    openJournal: async url =>
      openPostgresJournal({
        url: url ?? (await started.createDatabase()),
        poolSize: 4,
        connectTimeoutMs: 5000,
        statementTimeoutMs: 10_000,
        clock: systemClock,
        usesServerTime: false,
      }),
    close: () => started.close(),
  };
}
