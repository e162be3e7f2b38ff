/** Leaves the turn to the next in line. Calling it again does nothing. */
export type Release = () => void;

/** One holder at a time, in order of arrival; nobody waits longer than the limit. */
export interface Turns {
  readonly isTaken: boolean;
  readonly waiting: number;
  /** @throws what `onTimeout` returns when the turn did not come in time. */
  take(): Promise<Release>;
}

/** Waits are real time: the holder of a turn waits for a disk, not for the program's clock. */
export function createTurns(options: { readonly maxWaitMs: number; readonly onTimeout: () => Error }): Turns {
  const line = new Set<(release: Release) => void>();
  let isTaken = false;

  function give(): Release {
    let isHeld = true;
    isTaken = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const [next] = line;
      if (next) next(give());
      else isTaken = false;
    };
  }

  return {
    get isTaken() {
      return isTaken;
    },
    get waiting() {
      return line.size;
    },
    take() {
      if (!isTaken) return Promise.resolve(give());
      return new Promise((resolve, reject) => {
        const begin = (release: Release) => {
          clearTimeout(timer);
          line.delete(begin);
          resolve(release);
        };
        const timer = setTimeout(() => {
          line.delete(begin);
          reject(options.onTimeout());
        }, options.maxWaitMs);
        line.add(begin);
      });
    },
  };
}
