import { stringAt } from '@strata/shared/json/json-text.ts';
import { isObject, type JsonObject } from '../domain/capabilities.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { legacyVersions, modernVersion } from '../domain/protocol-versions.ts';
import { rawText, textParam } from '../wire/frame.ts';
import { decodeHeaderValue, nameMemberOf } from '../wire/modern/headers.ts';
import { hopMeta, modernCodes } from '../wire/modern/meta.ts';

/** What a request of the revision 2026-07-28 says about its client. */
export interface ModernRequest {
  readonly frame: RequestFrame;
  /** As raw JSON: equal text is the same client, without reading it. */
  readonly capabilities: string;
  readonly clientInfo: string;
  readonly logLevel: string | undefined;
}

export interface ModernProblem {
  readonly code: number;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export const supportedVersions: readonly string[] = [modernVersion, ...legacyVersions];

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Reads what every request carries with it, and compares the headers with the body (2026-07-28, "Transports"): whoever
 * looks at the headers only, such as a load balancer, must see what the server acts on. All problems are HTTP 400.
 */
export function readModernRequest(frame: RequestFrame, headers: Headers): ModernRequest | ModernProblem {
  const meta = frame.params?.members?.get('_meta')?.members;
  const version = stringAt(frame.bytes, meta?.get(hopMeta.protocolVersion));
  const capabilities = meta?.get(hopMeta.clientCapabilities);
  if (version === undefined) return missing(hopMeta.protocolVersion);
  const mismatch = findMismatch(frame, version, headers);
  if (mismatch !== undefined) return { code: modernCodes.headerMismatch, message: mismatch, data: {} };
  if (version !== modernVersion) return unsupportedVersion(version);
  if (capabilities === undefined || frame.bytes[capabilities.start] !== 0x7b) {
    return missing(hopMeta.clientCapabilities);
  }
  const clientInfo = meta?.get(hopMeta.clientInfo);
  const logLevel = meta?.get(hopMeta.logLevel);
  return {
    frame,
    capabilities: rawText(frame.bytes, capabilities),
    clientInfo: clientInfo ? rawText(frame.bytes, clientInfo) : '{}',
    logLevel: logLevel && stringAt(frame.bytes, logLevel),
  };
}

export function isProblem(read: ModernRequest | ModernProblem): read is ModernProblem {
  return 'code' in read;
}

export function unsupportedVersion(requested: string): ModernProblem {
  return {
    code: modernCodes.unsupportedVersion,
    message: 'This protocol version is not served here.',
    data: { supported: supportedVersions, requested: requested.slice(0, 100) },
  };
}

export function missingVersionHeader(): ModernProblem {
  return {
    code: modernCodes.headerMismatch,
    message: 'The header `MCP-Protocol-Version` is missing.',
    data: { supported: supportedVersions },
  };
}

export function parseObject(json: string): JsonObject {
  const value: unknown = JSON.parse(json);
  return isObject(value) ? value : {};
}

function missing(key: string): ModernProblem {
  return { code: -32602, message: `\`params._meta\` needs \`${key}\`.`, data: { reason: 'invalid_params' } };
}

function findMismatch(frame: RequestFrame, version: string, headers: Headers): string | undefined {
  if (headers['mcp-protocol-version'] !== version) {
    return 'The header `MCP-Protocol-Version` does not say what the request says.';
  }
  if (headers['mcp-method'] !== frame.method) {
    return 'The header `Mcp-Method` is missing or does not say what the request says.';
  }
  const member = nameMemberOf(frame.method);
  const header = headers['mcp-name'];
  const name = member === undefined ? undefined : textParam(frame, member);
  if (name === undefined) return undefined; // the method's own step says what is wrong with it
  const isSame = typeof header === 'string' && decodeHeaderValue(header) === name;
  return isSame ? undefined : 'The header `Mcp-Name` is missing or does not say what the request says.';
}
