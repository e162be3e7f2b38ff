import { join } from 'node:path';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { AgentGatewayConfig } from './config.ts';
import type { Journal } from './domain/journal.ts';
import { openPostgresJournal } from './journal/postgres/postgres-journal.ts';
import { openSqliteJournal } from './journal/sqlite/sqlite-journal.ts';

/** Beside the other durable records where those are in PostgreSQL; else, or when a file is named, a file of its own. */
export async function openJournal({ journal }: AgentGatewayConfig, deps: GatewayDeps): Promise<Journal> {
  const { url, connect_timeout_ms, statement_timeout_ms } = deps.store;
  const address = url?.reveal() ?? '';
  if (journal.path !== undefined || !/^postgres(ql)?:/.test(address))
    return openSqliteJournal(journal.path ?? join(deps.dataDir, 'journal.sqlite'));
  return openPostgresJournal({
    url: address,
    poolSize: journal.pool_size,
    connectTimeoutMs: connect_timeout_ms,
    statementTimeoutMs: statement_timeout_ms,
    clock: deps.clock,
    usesServerTime: true,
  });
}
