import type { Upstream } from './upstream.ts';

/** The tool servers that are configured at the moment, in the order of the configuration. */
export interface UpstreamDirectory {
  /** The same array for as long as it holds the same servers. */
  list(): readonly Upstream[];
  get(name: string): Upstream | undefined;
}
