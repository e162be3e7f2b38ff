import type { GivenResults } from '../domain/given-results.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import type { Threads } from '../domain/thread.ts';
import type { Definitions } from '../dsl/definitions.ts';
import type { SubmitDeps } from '../pipeline/submit-run.ts';
import type { RecordChange } from './record-change.ts';

/** What the routes need. */
export interface ApiDeps extends SubmitDeps {
  readonly definitions: Definitions;
  readonly types: TaskTypes;
  readonly threads: Threads;
  readonly givenResults: GivenResults;
  readonly recordChange: RecordChange;
  /** Somebody asked something of a run. */
  readonly onAsked: (runId: string) => void;
  readonly maxWaitMs: () => number;
  readonly maxExportBytes: number;
  /** Versions of workflows that one tenant may have stored. */
  readonly maxWorkflows: () => number;
  readonly isDraining: () => boolean;
}
