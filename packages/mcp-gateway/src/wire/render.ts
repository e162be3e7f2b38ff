import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { jsonRpcCodes, jsonRpcErrorObject } from '@strata/shared/errors/json-rpc.ts';
import type { Span } from '@strata/shared/json/json-text.ts';
import type { BadFrame } from '../domain/frame.ts';
import type { Era } from '../domain/protocol-versions.ts';
import { modernCodes } from './modern/meta.ts';

/** Messages the gateway writes itself, and answers to which it gives the asker's id back as it came. */

export function renderRequest(id: number, method: string, params: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
}

export function renderNotification(method: string, params: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params }));
}

const answerHead = Buffer.from('{"jsonrpc":"2.0","id":');
const resultHead = Buffer.from(',"result":');
const end = Buffer.from('}');

/** `rawId` as the asker wrote it; `result` as JSON. */
export function renderResult(rawId: Buffer, result: Buffer | string): Buffer {
  const body = typeof result === 'string' ? Buffer.from(result) : result;
  return Buffer.concat([answerHead, rawId, resultHead, body, end]);
}

export function renderErrorObject(rawId: Buffer | undefined, error: string): Buffer {
  return Buffer.concat([answerHead, rawId ?? Buffer.from('null'), Buffer.from(`,"error":${error}}`)]);
}

/** Reasons for which JSON-RPC or MCP has a code of its own; everything else follows from the kind. */
const codesByReason: Readonly<Record<string, number>> = {
  unknown_method: jsonRpcCodes.methodNotFound,
  unknown_tool: jsonRpcCodes.invalidParams,
  unknown_prompt: jsonRpcCodes.invalidParams,
  unknown_task: jsonRpcCodes.invalidParams,
  unknown_resource: -32002,
  ambiguous_resource: jsonRpcCodes.invalidParams,
  invalid_cursor: jsonRpcCodes.invalidParams,
  invalid_params: jsonRpcCodes.invalidParams,
  invalid_state: jsonRpcCodes.invalidParams,
  too_many_subscriptions: jsonRpcCodes.invalidParams,
  result_too_large: jsonRpcCodes.internalError,
  header_mismatch: modernCodes.headerMismatch,
  call_timeout: -32001,
  deadline_passed: -32001,
};

/** What the revision 2026-07-28 calls differently. */
const modernCodesByReason: Readonly<Record<string, number>> = {
  unknown_resource: jsonRpcCodes.invalidParams,
};

/** The code with which an error goes to a client; undefined when it follows from the kind. */
export function codeOfReason(reason: string, era: Era): number | undefined {
  return (era === 'modern' ? modernCodesByReason[reason] : undefined) ?? codesByReason[reason];
}

export function renderError(
  rawId: Buffer | undefined,
  error: GatewayError,
  requestId: string,
  era: Era = 'legacy',
): Buffer {
  const code = codeOfReason(error.reason, era);
  const object = jsonRpcErrorObject(error, { requestId });
  return renderErrorObject(
    rawId,
    code === undefined ? object : object.replace(/^\{"code":-?\d+/, `{"code":${code}`),
  );
}

export function renderBadFrame(bad: BadFrame, requestId: string): Buffer {
  const { code, message, reason } = bad;
  return renderErrorObject(
    bad.id,
    JSON.stringify({ code, message, data: { reason, retryable: false, request_id: requestId } }),
  );
}

/** A copy of the bytes of a span: a view would keep the whole message alive. */
export function copySpan(bytes: Buffer, span: Span): Buffer {
  return Buffer.from(bytes.subarray(span.start, span.end));
}
