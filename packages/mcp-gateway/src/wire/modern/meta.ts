/** Keys of `_meta` in the revision 2026-07-28 that belong to one hop, not to the message's way from end to end. */
export const hopPrefix = 'io.modelcontextprotocol/';

export const hopMeta = {
  protocolVersion: `${hopPrefix}protocolVersion`,
  clientCapabilities: `${hopPrefix}clientCapabilities`,
  clientInfo: `${hopPrefix}clientInfo`,
  logLevel: `${hopPrefix}logLevel`,
  serverInfo: `${hopPrefix}serverInfo`,
  subscriptionId: `${hopPrefix}subscriptionId`,
} as const;

/** In `_meta` of everything that belongs to a task (2025-11-25, "Tasks"); it goes from end to end. */
export const relatedTask = `${hopPrefix}related-task`;

const hopKeys: ReadonlySet<string> = new Set(Object.values(hopMeta));

export function isHopMeta(key: string): boolean {
  return hopKeys.has(key);
}

/** Codes of the revision 2026-07-28, section "Errors". */
export const modernCodes = {
  headerMismatch: -32020,
  missingClientCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** Whether a code is one by which a server shows that it speaks the revision at all. */
export function isModernCode(code: number): boolean {
  return code <= -32020 && code >= -32099;
}
