import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Frame } from '../domain/frame.ts';
import { isLegacyVersion, legacyVersions } from '../domain/protocol-versions.ts';

/** Codes of the 2026-07-28 revision by which a client of that era knows whom it speaks to. */
export const headerMismatch = -32020;
export const unsupportedVersion = -32022;

export interface EraProblem {
  readonly code: typeof headerMismatch | typeof unsupportedVersion;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const versionMetaKey = 'io.modelcontextprotocol/protocolVersion';

/**
 * The era is decided for each request. This endpoint speaks the sessions era; a request of a later one gets the error that
 * its client recognises and falls back on. `undefined` when the request can be served.
 */
export function findEraProblem(options: {
  readonly versionHeader: string | undefined;
  readonly methodHeader: string | undefined;
  readonly sessionHeader: string | undefined;
  readonly frame: Frame | undefined;
}): EraProblem | undefined {
  const { versionHeader, methodHeader, sessionHeader, frame } = options;
  if (frame?.kind === 'request' && frame.method === 'initialize') return undefined; // says its version itself
  if (versionHeader === undefined) {
    const isModern = methodHeader !== undefined || isModernFrame(frame);
    if (!isModern || sessionHeader !== undefined) return undefined;
    return {
      code: headerMismatch,
      message: 'The header `MCP-Protocol-Version` is missing.',
      data: { supported: legacyVersions },
    };
  }
  if (isLegacyVersion(versionHeader)) return undefined;
  return {
    code: unsupportedVersion,
    message: 'This protocol version is not served here. Start a session with `initialize`.',
    data: { supported: legacyVersions, requested: versionHeader.slice(0, 100) },
  };
}

function isModernFrame(frame: Frame | undefined): boolean {
  if (frame === undefined || frame.kind === 'response') return false;
  return frame.params?.members?.get('_meta')?.members?.has(versionMetaKey) ?? false;
}

export function versionNotAllowed(): GatewayError {
  return new GatewayError('invalid_request', 'Batches exist in the protocol version 2025-03-26 only.', {
    reason: 'batch_not_allowed',
  });
}
