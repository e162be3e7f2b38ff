import type { CancelRun } from '@strata/shared/identity/revocation.ts';
import type { Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import type { Agenda } from '../domain/agenda.ts';
import type { AgentPrice } from '../domain/agent-fee.ts';
import type { Claim } from '../domain/append.ts';
import type { Policy } from '../domain/authority.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import type { Expressions } from '../domain/expressions.ts';
import type { Journal } from '../domain/journal.ts';
import type { RunState } from '../domain/run-state.ts';
import type { RunLimits } from '../domain/run-terms.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import type { Workflow } from '../domain/workflow.ts';
import type { CallsUnderWay } from './calls-under-way.ts';
import type { DriverJournal } from './patient-journal.ts';
import type { PerformDeps } from './perform.ts';
import type { RunTrace } from './run-trace.ts';
import type { RunWriter } from './run-writer.ts';

export interface DriverDeps extends PerformDeps {
  readonly journal: Journal;
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly schemas: DataSchemas;
  /** May the run do what it is about to? */
  readonly policy: Policy;
  readonly agentPrices: () => readonly AgentPrice[];
  readonly telemetry: Telemetry;
  /** Ends what the run has under way at other gateways, should it not notice by itself that nobody waits any more. */
  readonly cancelRun: CancelRun;
  /** Of a run, as they are configured now. */
  readonly limits: () => RunLimits;
  /** The definition that a run is pinned to. */
  loadWorkflow(hash: string): Promise<Workflow>;
}

/** One run while it is held: what it is, and what is done with it. */
export interface RunContext {
  readonly claim: Claim;
  readonly state: RunState;
  workflow: Workflow;
  readonly trace: RunTrace;
  readonly writer: RunWriter;
  readonly journal: DriverJournal;
  readonly calls: CallsUnderWay;
  readonly agenda: Agenda;
}
