import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { newId } from '../ids.ts';
import { appendEvents } from './append.ts';
import type { AuditKeys } from './audit-keys.ts';
import type { AuditEvent } from './audit-record.ts';
import type { AuditSchema } from './audit-schema.ts';

/** For programs beside the gateways: enters a change in its transaction. The next gateway to append signs the chain. */
export function recordBeside(deps: {
  readonly keys: AuditKeys;
  readonly clock: Clock;
  readonly program: string;
}) {
  const { keys, clock, program } = deps;
  return async (transaction: Transaction<AuditSchema>, event: AuditEvent): Promise<void> => {
    const atMs = clock.now();
    const dated = { id: newId('aud', atMs), atMs, gateway: program, event };
    await appendEvents(transaction, keys, { tenant: event.tenant, events: [dated], mayBeStored: false });
  };
}
