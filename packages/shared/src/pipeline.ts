/** One step around the rest of the work. Call `next` exactly once, or throw, or answer yourself. */
export type Stage<Context, Result> = (context: Context, next: () => Promise<Result>) => Promise<Result>;

/** Joins stages into one function. The first in the list is the outermost. */
export function compose<Context, Result>(
  stages: readonly Stage<Context, Result>[],
  terminal: (context: Context) => Promise<Result>,
): (context: Context) => Promise<Result> {
  return context => {
    let reached = -1;
    const run = async (index: number): Promise<Result> => {
      if (index <= reached) throw new Error('next() called twice');
      reached = index;
      const stage = stages[index];
      return stage ? stage(context, () => run(index + 1)) : terminal(context);
    };
    return run(0);
  };
}
