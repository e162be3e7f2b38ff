import type { Journal } from '../domain/journal.ts';
import { corruptJournal } from '../domain/journal-errors.ts';
import type { Workflow } from '../domain/workflow.ts';

export interface LoadDeps {
  readonly journal: Pick<Journal, 'getDefinition'>;
  readonly definitions: {
    /** One that this process has compiled not long ago. */
    known(hash: string): Workflow | undefined;
    /** @throws GatewayError internal (`journal_corrupt`) when the text is not that of the hash. */
    load(hash: string, document: string): Workflow;
  };
}

/**
 * The definition that a run is pinned to.
 *
 * @throws GatewayError internal (`journal_corrupt`) when it is not there, or is not what was written.
 */
export async function loadWorkflow(hash: string, { journal, definitions }: LoadDeps): Promise<Workflow> {
  const known = definitions.known(hash);
  if (known !== undefined) return known;
  const stored = await journal.getDefinition(hash);
  if (stored === undefined) throw corruptJournal(`The definition ${hash} is not in the journal.`);
  return definitions.load(hash, stored.document);
}
