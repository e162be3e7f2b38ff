/** One step around the rest of the work. Call `next` exactly once, or throw, or answer yourself. */
export type Stage<Context, Result> = (context: Context, next: () => Promise<Result>) => Promise<Result>;

/** Joins stages into one function. The first in the list is the outermost. */
export function compose<Context, Result>(
  stages: readonly Stage<Context, Result>[],
  terminal: (context: Context) => Promise<Result>,
): (context: Context) => Promise<Result> {
  return context => {
    let reached = -1;
    // Not async: what a stage throws at once becomes a rejection without a promise of our own around each stage.
    const run = (index: number): Promise<Result> => {
      if (index <= reached) return Promise.reject(new Error('next() called twice'));
      reached = index;
      const stage = stages[index];
      try {
        return stage ? stage(context, () => run(index + 1)) : terminal(context);
      } catch (error) {
        return Promise.reject(error);
      }
    };
    return run(0);
  };
}
