/** Whether this is the long run, `pnpm soak`. */
export const isSoak = process.env.SOAK === '1';

/** How much of one and the same test is done: little enough for every change in CI, all of it under `pnpm soak`. */
export function sized(sizes: { readonly ci: number; readonly soak: number }): number {
  return isSoak ? sizes.soak : sizes.ci;
}
