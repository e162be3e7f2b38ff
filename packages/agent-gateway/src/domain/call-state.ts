import type { RunError } from './run-error.ts';

/** How it stands with one call of a task. */
export type CallState =
  /** `isEarlier`: the run was resumed since, and no budget that refuses the call says how it stands now. */
  | { readonly status: 'started'; readonly attempt: number; readonly isEarlier?: true }
  | { readonly status: 'completed'; readonly result: unknown }
  | { readonly status: 'retrying'; readonly attempt: number; readonly retryAtMs: number }
  | { readonly status: 'failed'; readonly error: RunError }
  | { readonly status: 'in-doubt'; readonly attempt: number }
  | { readonly status: 'parked'; readonly attempt: number }
  /** A budget had not enough for it; nothing was done. */
  | { readonly status: 'held'; readonly attempt: number; readonly error: RunError }
  /** Somebody said: again. */
  | { readonly status: 'released'; readonly attempt: number };
