import type { Clock, Scheduled } from '@strata/shared/clock.ts';

/** Collects keys for a while, then hands them over at once: a storm of changes becomes one message a kind. */
export interface Debounce<Key> {
  add(key: Key): void;
  cancel(): void;
}

export function createDebounce<Key>(
  clock: Clock,
  delayMs: () => number,
  act: (keys: ReadonlySet<Key>) => void,
): Debounce<Key> {
  let keys = new Set<Key>();
  let timer: Scheduled | undefined;
  return {
    add(key) {
      keys.add(key);
      timer ??= clock.schedule(delayMs(), () => {
        const collected = keys;
        keys = new Set();
        timer = undefined;
        act(collected);
      });
    },
    cancel() {
      timer?.cancel();
      timer = undefined;
      keys.clear();
    },
  };
}
