import type { Budget, BudgetAlert, Charge } from './budget.ts';

/** What a process asks for, for one request or for several to come. Money is nano-USD. */
export interface DrawRequest {
  /** Who will hold the grants; its lease is renewed to `leaseUntilMs` by the way. */
  readonly owner: string;
  readonly leaseUntilMs: number;
  readonly draws: readonly {
    readonly budgetId: string;
    readonly grantId: string;
    /** The moment whose window the grant is of: at most now. */
    readonly atMs: number;
    /** Without so much nothing is drawn. */
    readonly need: bigint;
    /** More than that is not taken. */
    readonly want: bigint;
  }[];
}

export type DrawOutcome =
  /** In the order of the draws. */
  | { readonly type: 'drawn'; readonly nanoUsd: readonly bigint[] }
  | {
      readonly type: 'refused';
      readonly budgetId: string;
      readonly availableNanoUsd: bigint;
      readonly limitNanoUsd: bigint;
    }
  /** There is no such budget any more. */
  | { readonly type: 'unknown-budget'; readonly budgetId: string };

export interface ChargeOutcome {
  readonly alerts: readonly BudgetAlert[];
  /** By how much the charges were more than what had been set aside for them. */
  readonly overdrawnNanoUsd: bigint;
}

export interface BudgetTotals {
  readonly limitNanoUsd: bigint;
  readonly spentNanoUsd: bigint;
  readonly openNanoUsd: bigint;
  readonly lostNanoUsd: bigint;
}

/** What somebody found out about processes that are gone. */
export interface Reconciliation {
  /** What they held of the budget when it was found out. */
  readonly lostNanoUsd: bigint;
  /** What they had spent of that. */
  readonly spentNanoUsd: bigint;
}

/** Grants of owners that are gone. */
export interface LostGrant {
  readonly budgetId: string;
  readonly grantId: string;
  readonly owner: string;
  readonly nanoUsd: bigint;
}

export interface OpenRun {
  readonly id: string;
  readonly tenant: string;
  readonly runId: string;
}

export type NewBudget = Omit<Budget, 'version' | 'parents' | 'isClosed'>;
export type BudgetChange = Partial<Pick<Budget, 'limitNanoUsd' | 'mode'>>;

/** The budget of a run: `limitNanoUsd` out of each of the `parents`. */
export interface RunBudget {
  readonly id: string;
  readonly tenant: string;
  readonly runId: string;
  readonly limitNanoUsd: bigint;
  readonly parents: readonly string[];
}

/**
 * Where budgets are kept. Every method is one transaction over all budgets that it names: it happens whole or not at all, and no two
 * overlap where they touch the same budget. After each, `spent + open + lost ≤ limit` holds for every budget whose limit was not
 * lowered and whose charges were covered ($-1).
 *
 * One contract for all: `test/contracts/budget-contract.ts`.
 */
export interface BudgetStore {
  draw(request: DrawRequest): Promise<DrawOutcome>;
  charge(charges: readonly Charge[]): Promise<ChargeOutcome>;
  /** Gives back all of each grant but `keep`. */
  trim(
    trims: readonly { readonly budgetId: string; readonly grantId: string; readonly keep: bigint }[],
  ): Promise<void>;
  /** False when the owner's lease had ended and its grants are lost: it must begin anew under another name. */
  renew(owner: string, leaseUntilMs: number): Promise<boolean>;
  /** The owner is gone: what it still holds is lost. */
  leave(owner: string): Promise<void>;
  /** Makes lost what owners hold whose lease ended before that time. Returns who they were. */
  reap(leaseEndedBeforeMs: number): Promise<readonly string[]>;
  lostGrants(): Promise<LostGrant[]>;
  /** What a lost grant was used for is known. False when there is no such lost grant. */
  reconcile(grant: {
    readonly budgetId: string;
    readonly grantId: string;
    readonly spentNanoUsd: bigint;
  }): Promise<boolean>;

  /** @throws GatewayError conflict (`unique_violation`). */
  create(budget: NewBudget): Promise<Budget>;
  /** @throws GatewayError not_found (`unknown_budget`), conflict (`budget_changed`) when `version` is given and another. */
  update(id: string, change: BudgetChange, version?: number): Promise<Budget>;
  /** @throws GatewayError not_found (`unknown_budget`). */
  remove(id: string): Promise<void>;
  /** All but those of runs, in the order of their ids. */
  list(): Promise<Budget[]>;
  find(id: string): Promise<Budget | undefined>;
  totals(id: string): Promise<BudgetTotals | undefined>;
  /** Rises with every `create`, `update` and `remove` of any process. */
  version(): Promise<number>;

  /**
   * A budget for a run, its whole limit set aside in each parent, or refused by one of them. Opening it again changes nothing; with a higher
   * limit it is raised, and the difference is set aside in each parent or refused.
   */
  openRun(run: RunBudget): Promise<DrawOutcome>;
  /** Runs whose budget is not closed, in the order of the budgets' ids. */
  openRuns(page: { readonly after: string; readonly limit: number }): Promise<OpenRun[]>;
  /** Gives the parents back what the run did not need. What is still out follows as it comes back. */
  closeRun(id: string): Promise<void>;
}
