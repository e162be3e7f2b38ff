import type { RunRequest } from '../domain/append.ts';

/** What is asked of a run, on its way to the run's inbox. */
export interface Asked {
  readonly kind: RunRequest['kind'];
  readonly payload: unknown;
  readonly call?: string | undefined;
}
