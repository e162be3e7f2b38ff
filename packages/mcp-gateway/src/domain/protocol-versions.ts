/** `legacy`: revisions with sessions, which begin with `initialize`. `modern`: revisions without, from 2026-07-28. */
export type Era = 'legacy' | 'modern';

export const modernVersion = '2026-07-28';

/** The sessions era of MCP: every revision that begins with `initialize`. Newest first. */
export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;

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

/** What to offer a server of the sessions era for a client of either. */
export function legacyVersionFor(version: string): string {
  return isLegacyVersion(version) ? version : newestLegacyVersion;
}

export function eraOf(version: string): Era {
  return isLegacyVersion(version) ? 'legacy' : 'modern';
}

/** Batches exist in one revision only. */
export function allowsBatches(version: string): boolean {
  return version === '2025-03-26';
}

/** An empty first event breaks clients that were written before it was specified. */
export function wantsPrimingEvent(version: string): boolean {
  return version >= '2025-11-25';
}
