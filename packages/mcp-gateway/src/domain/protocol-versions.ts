/** `legacy`: revisions with sessions, which begin with `initialize`. `modern`: revisions without, from 2026-07-28. */
export type Era = 'legacy' | 'modern';

export const modernVersion = '2026-07-28';

/** The sessions era of MCP: every revision that begins with `initialize`. Newest first. */
export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;

/** What a tool server may answer; 2024-11-05 differs from the next revision only in ways a proxy passes on. */
const upstreamVersions: readonly string[] = [...legacyVersions, '2024-11-05'];

export const newestLegacyVersion = legacyVersions[0];

/** A client that sends no version header after `initialize` speaks this one (2025-06-18, section "Protocol Version Header"). */
export const versionWithoutHeader = '2025-03-26';

/** The version to answer `initialize` with: the one asked for, else the newest we have. */
export function negotiateVersion(requested: unknown): string {
  return legacyVersions.find(version => version === requested) ?? newestLegacyVersion;
}

export function isLegacyVersion(version: string): boolean {
  return legacyVersions.some(known => known === version);
}

export function isUpstreamVersion(version: string): boolean {
  return upstreamVersions.includes(version);
}

/** Batches exist in one revision only. */
export function allowsBatches(version: string): boolean {
  return version === '2025-03-26';
}

/** An empty first event breaks clients that were written before it was specified. */
export function wantsPrimingEvent(version: string): boolean {
  return version >= '2025-11-25';
}
