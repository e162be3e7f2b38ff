import { isUtf8 } from 'node:buffer';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type Span, stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError, type ScanProblem } from '@strata/shared/json/scan-problem.ts';
import type { ScannedObject } from '../domain/json-scan.ts';
import { lastMember, scanObject, valueAt } from '../domain/json-scan.ts';
import type { ModelRequest, PathRequest } from '../domain/protocol.ts';
import { refuseUpstreamOverrides } from '../domain/upstream-overrides.ts';
import { asObject, asString } from './read-json.ts';

/** What every protocol's request has in common: a JSON object that names a model. */
export interface CommonRequest {
  readonly body: Buffer;
  readonly scanned: ScannedObject;
  readonly model: string;
  readonly isStream: boolean;
  readonly serviceTier: string | undefined;
}

const maxModelLength = 256;

/**
 * Scans a request body once. `content` names the members that hold the caller's own data, in which any key is fair; `defaultModel` is asked
 * for by who names none.
 *
 * @throws GatewayError invalid_request.
 */
export function readCommonRequest(
  body: Buffer,
  content: ReadonlySet<string>,
  defaultModel?: string,
): CommonRequest {
  const scanned = scanBody(body);
  refuseUpstreamOverrides(body, scanned, content);
  const written = lastMember(scanned, 'model');
  const model = written === undefined ? defaultModel : stringAt(body, written);
  return {
    body,
    scanned,
    model: requireModel(model, 'The field `model`'),
    isStream: isTrue(body, lastMember(scanned, 'stream')),
    serviceTier: serviceTierOf(body, scanned),
  };
}

/** A request whose path names the model and whether it streams; only its content stands in the body. @throws GatewayError invalid_request. */
export function readPathRequest(
  body: Buffer,
  path: PathRequest | undefined,
  content: ReadonlySet<string>,
): ModelRequest {
  const scanned = scanBody(body);
  refuseUpstreamOverrides(body, scanned, content);
  const model = requireModel(path?.model, 'The path');
  const serviceTier = serviceTierOf(body, scanned);
  return { body, scanned, isStream: path?.isStream ?? false, model, wantsStreamUsage: true, serviceTier };
}

function serviceTierOf(body: Buffer, scanned: ScannedObject): string | undefined {
  const span = lastMember(scanned, 'service_tier') ?? lastMember(scanned, 'serviceTier');
  if (span === undefined) return undefined;
  const asked = valueAt(body, span);
  return asString(asked) ?? asString(asObject(asked)?.type); // as Converse writes it
}

/** @throws GatewayError invalid_request (`model_missing`). */
export function requireModel(model: string | undefined, where: string): string {
  if (model === undefined || model === '' || model.length > maxModelLength) throw modelMissing(where);
  return model;
}

function modelMissing(where: string): GatewayError {
  return new GatewayError('invalid_request', `${where} must name a model.`, {
    reason: 'model_missing',
    param: 'model',
  });
}

export function isTrue(body: Buffer, value: Span | undefined): boolean {
  return value !== undefined && body[value.start] === 0x74; // a scanned value that begins with `t` is `true`
}

/** @throws GatewayError invalid_request. */
export function scanBody(body: Buffer): ScannedObject {
  if (!isUtf8(body)) {
    throw new GatewayError('invalid_request', 'The body is not valid UTF-8.', { reason: 'json_syntax' });
  }
  try {
    return scanObject(body);
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new GatewayError('invalid_request', error.message, {
      reason: scanReasons[error.problem],
      cause: error,
    });
  }
}

const scanReasons: Readonly<Record<ScanProblem, string>> = {
  syntax: 'json_syntax',
  'not-an-object': 'json_syntax',
  'ambiguous-key': 'json_syntax',
  'too-deep': 'json_too_deep',
  'too-many-values': 'json_too_many_nodes',
};
