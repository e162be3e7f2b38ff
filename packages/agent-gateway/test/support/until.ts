import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again; what a test waits for decides, not the time that it takes. */
export async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 30_000; tries++) {
    if (await isDone()) return;
    await sleep(1);
  }
  throw new Error('It did not come about');
}
