import { type Priority, priorities } from '@strata/shared/resilience/concurrency.ts';
import type { Call } from './call.ts';

/** Said by a client that can wait: `interactive`, `agent` or `batch`. */
export const priorityHeader = 'x-strata-priority';

/** Tiers of service that are cheaper because they may take long. */
const patientTiers = new Set(['flex', 'batch']);

/**
 * Who goes first where not all can go (F37): a person, then a run of agent-gateway, then what asks for a tier that may take long. A client may say that it is
 * less urgent than it looks, never that it is more.
 */
export function priorityOf(call: Call): Priority {
  const given = givenPriority(call);
  const said = priorities.find(each => each === call.headers[priorityHeader]);
  return said !== undefined && priorities.indexOf(said) > priorities.indexOf(given) ? said : given;
}

function givenPriority({ caller, request }: Call): Priority {
  const { serviceTier: tier } = request;
  if (tier !== undefined && patientTiers.has(tier)) return 'batch';
  return caller.envelope?.runId === undefined ? 'interactive' : 'agent';
}
