/** What a test armed. Receives the name of every point that is passed. */
export type FaultHook = (name: string) => void | Promise<void>;

let hook: FaultHook | undefined;

/**
 * Marks a moment at which a crash would be worst: `faultPoint('settle.before-commit')`. Does nothing unless a test armed
 * faults (`testing/fault-points.ts`); then it may throw, or end the process, right here. Unarmed it costs one comparison.
 */
export function faultPoint(name: string): void {
  if (hook === undefined) return;
  const waiting = hook(name);
  if (waiting !== undefined) throw new Error(`The fault point ${name} cannot wait here: use asyncFaultPoint`);
}

/** The same in asynchronous code, where a test may also hold it back. Unarmed it returns nothing to wait for. */
export function asyncFaultPoint(name: string): Promise<void> | undefined {
  if (hook === undefined) return undefined;
  return Promise.resolve(hook(name));
}

/** For `testing/fault-points.ts` alone. */
export function setFaultHook(next: FaultHook | undefined): void {
  hook = next;
}
