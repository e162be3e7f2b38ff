import type { Scopes } from '@strata/shared/identity/scopes.ts';
import type { PrincipalKind } from '@strata/shared/identity/tree.ts';

/** In whose name a run acts. Written once, at its creation; every call's envelope is narrowed from it. */
export interface RunIdentity {
  readonly tenant: string;
  /** Absent in journals from before there was a tree; the default ones then. */
  readonly team?: string;
  readonly project?: string;
  readonly principal: string;
  readonly principalKind?: PrincipalKind;
  readonly tags?: readonly string[];
  readonly keyId: string | undefined;
  /** Another installation answers for the key and the principal. */
  readonly isForeign?: true;
  readonly actors: readonly string[];
  readonly scopes: Scopes;
  readonly depth: number;
  /** Of the run that started this one: what is spent is spent from it. */
  readonly budget?: { readonly id: string; readonly remainingNanoUsd: string };
  /** The run whose budget this one spends: that of a run that waits for it. */
  readonly spendsOf?: string | undefined;
  /** What the runs of that budget had spent where they were taken in from, in nano-USD as text. Absent when they were not. */
  readonly spentBeforeNanoUsd?: string | undefined;
}

/** Fixed when the run is created, so that a changed configuration cannot change a decision already made (AG-3). */
export interface RunLimits {
  /** Tasks that may begin, all visits counted. */
  readonly maxSteps: number;
  /** Times that one task may begin in one walk through its list. */
  readonly maxVisits: number;
  /** Bytes of one recorded value as JSON. */
  readonly maxValueBytes: number;
  /** Bytes of all recorded values of the run. */
  readonly maxJournalBytes: number;
  /** Lists that may be open at a time inside one task. */
  readonly maxFanOut: number;
  /** Tasks that may be open at a time in the whole tree of runs. Absent in journals from before there was such a limit. */
  readonly maxLiveTasks?: number;
  /** Signals and events that may be sent to it, and types of events that it may listen to. Absent in journals from before there was such a limit. */
  readonly maxMessages?: number;
  /** Times in a row that a task may begin with an input it has met before. */
  readonly maxRepeats: number;
  /** How long the run may take, its waits included. */
  readonly maxRunMs: number;
  /** What the run may spend, in nano-USD as text. Without it, what is configured when it calls. */
  readonly maxCostNanoUsd?: string;
}

/** What somebody gave a run by resuming it. It counts instead of what its definition and its submission say. */
export type GrantedLimits = Omit<Partial<RunLimits>, 'maxValueBytes'>;
