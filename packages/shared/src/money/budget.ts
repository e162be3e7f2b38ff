import type { BudgetWindow } from './budget-window.ts';
import type { Subject } from './subject.ts';

/** What may be spent on one subject in one window. */
export interface Budget {
  readonly id: string;
  readonly tenant: string;
  readonly subject: Subject;
  readonly limitNanoUsd: bigint;
  readonly window: BudgetWindow;
  /** `hard` refuses what would go over the limit; `soft` only tells. Both tell at 50, 80 and 100 %. */
  readonly mode: 'hard' | 'soft';
  /** Counts the changes of the budget, from 1. */
  readonly version: number;
  /** The budgets that this one's limit is reserved from: a run's. Empty for all others. */
  readonly parents: readonly string[];
  /** Of a run's budget that has ended: nothing more is given out, what is still out flows back to the parents. */
  readonly isClosed: boolean;
}

/** Percent of the limit at which a budget tells. */
export const alertPercents = [50, 80, 100] as const;

/** One share of a cost: which budget bears it, out of which grant, in which period. */
export interface Charge {
  readonly budgetId: string;
  /** Undefined for a soft budget, which gives no grants. */
  readonly grantId: string | undefined;
  /** Of the window, when the money was set aside. */
  readonly period: number;
  readonly nanoUsd: bigint;
}

/** A budget's spending has reached a part of its limit. Told once a period and part. */
export interface BudgetAlert {
  readonly budgetId: string;
  readonly period: number;
  readonly percent: number;
  readonly spentNanoUsd: bigint;
  readonly limitNanoUsd: bigint;
}
