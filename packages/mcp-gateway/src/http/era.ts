import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Frame } from '../domain/frame.ts';
import { type Era, isLegacyVersion, modernVersion } from '../domain/protocol-versions.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { type ModernProblem, missingVersionHeader, unsupportedVersion } from './modern-request.ts';

/**
 * The era is decided for each request. A request that fits none gets an error of the new era: its client knows it, and what
 * to fall back to.
 */
export function eraOfRequest(options: {
  readonly versionHeader: string | undefined;
  readonly methodHeader: string | undefined;
  readonly sessionHeader: string | undefined;
  readonly frame: Frame | undefined;
}): Era | ModernProblem {
  const { versionHeader, methodHeader, sessionHeader, frame } = options;
  if (versionHeader === modernVersion) return 'modern';
  const isModern = isModernFrame(frame);
  // A handshake says its version itself, whatever its header says.
  if (frame?.kind === 'request' && frame.method === 'initialize' && !isModern) return 'legacy';
  if (versionHeader === undefined) {
    const isMissing = (methodHeader !== undefined || isModern) && sessionHeader === undefined;
    return isMissing ? missingVersionHeader() : 'legacy';
  }
  if (isLegacyVersion(versionHeader)) return 'legacy';
  return isModern ? 'modern' : unsupportedVersion(versionHeader);
}

function isModernFrame(frame: Frame | undefined): boolean {
  if (frame === undefined || frame.kind === 'response') return false;
  return frame.params?.members?.get('_meta')?.members?.has(hopMeta.protocolVersion) ?? false;
}

export function versionNotAllowed(): GatewayError {
  return new GatewayError('invalid_request', 'Batches exist in the protocol version 2025-03-26 only.', {
    reason: 'batch_not_allowed',
  });
}
