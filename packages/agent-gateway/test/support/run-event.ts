import { noScopes } from '@strata/shared/identity/scopes.ts';
import type { NewRun } from '../../src/domain/append.ts';

/** The first record of a run of which the journal alone is tested. */
export function runEvent({
  tenant,
  definition,
  deadlineAtMs,
}: {
  tenant: string;
  definition: string;
  deadlineAtMs: number;
}): NewRun['event'] {
  return {
    type: 'run-created',
    definition,
    workflow: 'n/w:1.0.0',
    input: {},
    identity: { tenant, principal: 'p', keyId: undefined, actors: [], scopes: noScopes, depth: 1 },
    limits: {
      maxSteps: 1,
      maxVisits: 1,
      maxValueBytes: 1,
      maxJournalBytes: 1,
      maxFanOut: 1,
      maxRepeats: 1,
      maxRunMs: 1,
    },
    deadlineAtMs,
    traceparent: '',
  };
}
