import type { Definitions } from '../dsl/definitions.ts';
import type { SubmitDeps } from '../pipeline/submit-run.ts';

/** What the routes need. */
export interface ApiDeps extends SubmitDeps {
  readonly definitions: Definitions;
  /** Somebody asked something of a run. */
  readonly onAsked: (runId: string) => void;
  readonly maxWaitMs: () => number;
  readonly isDraining: () => boolean;
}
