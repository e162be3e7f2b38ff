import { isUtf8 } from 'node:buffer';
import { decodeString, type Span, stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError, type ScanLimits } from '@strata/shared/json/scan-problem.ts';
import type {
  BadFrame,
  Frame,
  NotificationFrame,
  RequestFrame,
  ResponseFrame,
  ScannedValue,
} from '../domain/frame.ts';
import { requestScanLimits, type Shape, scanElements, scanJson } from './json-scanner.ts';
import { relatedTask } from './modern/meta.ts';
import { protocolWord } from './protocol-words.ts';

const maxIdBytes = 1024;
const nullByte = 0x6e;
const quote = 0x22;
const frameShape: Shape = {
  params: { _meta: {}, ref: {}, inputResponses: {} },
  error: {},
  result: { inputRequests: {}, _meta: { [relatedTask]: {} } },
};

/** Reads one message; also the elements of a batch, each by itself. */
export function parseFrames(
  bytes: Buffer,
  limits: ScanLimits = requestScanLimits,
): { isBatch: boolean; frames: (Frame | BadFrame)[] } {
  if (firstByte(bytes) !== 0x5b) return { isBatch: false, frames: [parseFrame(bytes, limits)] };
  if (!isUtf8(bytes)) return { isBatch: true, frames: [notUtf8] };
  try {
    const elements = scanElements(bytes, scanJson(bytes, undefined, limits), undefined, limits);
    if (elements.length === 0) return { isBatch: false, frames: [badEnvelope('The batch is empty.')] };
    return {
      isBatch: true,
      frames: elements.map(element => parseFrame(bytes.subarray(element.start, element.end), limits)),
    };
  } catch (error) {
    return { isBatch: true, frames: [fromScanError(error)] };
  }
}

function firstByte(bytes: Buffer): number | undefined {
  let at = 0;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
  }
  return bytes[at];
}

/** Reads one message. Never throws on what the bytes hold. */
export function parseFrame(bytes: Buffer, limits: ScanLimits = requestScanLimits): Frame | BadFrame {
  if (!isUtf8(bytes)) return notUtf8;
  let whole: ScannedValue;
  try {
    whole = scanJson(bytes, frameShape, limits);
  } catch (error) {
    return fromScanError(error);
  }
  if (!whole.members) return badEnvelope('A message must be a JSON object.');
  return classify(bytes, whole, whole.members);
}

function classify(
  bytes: Buffer,
  whole: ScannedValue,
  members: ReadonlyMap<string, ScannedValue>,
): Frame | BadFrame {
  const id = members.get('id');
  const bad = (message: string): BadFrame => ({
    ...badEnvelope(message, usableId(bytes, id)),
    isAnswer: id !== undefined && !members.has('method'),
  });
  if (wordAt(bytes, members.get('jsonrpc')) !== '2.0') {
    return bad('`jsonrpc` must be "2.0".');
  }
  const result = members.get('result');
  const error = members.get('error');
  const methodSpan = members.get('method');
  if (methodSpan === undefined) {
    if (id === undefined || (result === undefined) === (error === undefined)) {
      return bad('A message needs a `method`, or an `id` with one of `result` and `error`.');
    }
    return { kind: 'response', bytes, id, result, error };
  }
  const method = wordAt(bytes, methodSpan);
  if (method === undefined || method === '') return bad('`method` must be a string.');
  if (result || error) return bad('A message cannot be a request and an answer.');
  const params = members.get('params');
  if (params && !params.members) return bad('`params` must be an object.');
  if (id === undefined) return { kind: 'notification', bytes, method, params };
  if (!isUsableId(bytes, id)) return badEnvelope('`id` must be a string or a number of at most 1024 bytes.');
  return { kind: 'request', bytes, id, method, params, whole };
}

/** The text, when the value is a string; most are words of the protocol. */
function wordAt(bytes: Buffer, span: ScannedValue | undefined): string | undefined {
  if (span === undefined || bytes[span.start] !== quote) return undefined;
  return protocolWord(bytes, span.start + 1, span.end - 1) ?? stringAt(bytes, span);
}

function usableId(bytes: Buffer, id: ScannedValue | undefined): Buffer | undefined {
  return id && isUsableId(bytes, id) ? Buffer.from(bytes.subarray(id.start, id.end)) : undefined;
}

function isUsableId(bytes: Buffer, id: ScannedValue): boolean {
  const first = bytes[id.start] ?? 0;
  const isString = first === 0x22;
  const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
  return (isString || isNumber) && id.end - id.start <= maxIdBytes;
}

/** A key under which equal ids meet: the text of a string, the digits of a number. */
export function idKey(bytes: Buffer, id: Span): string | undefined {
  const first = bytes[id.start];
  if (first === 0x22) return `s:${decodeString(bytes, id.start, id.end)}`;
  if (first === nullByte) return undefined;
  return `n:${bytes.toString('latin1', id.start, id.end)}`;
}

/** The raw bytes of a span, as text. */
export function rawText(bytes: Buffer, span: Span): string {
  return bytes.toString('utf8', span.start, span.end);
}

/** A text member of `params`, when it is there and a string. */
export function textParam(frame: RequestFrame | NotificationFrame, key: string): string | undefined {
  return stringAt(frame.bytes, frame.params?.members?.get(key));
}

/** Decodes `params`. For control messages only; never on the way of a call. */
export function decodeParams(frame: RequestFrame | NotificationFrame): Record<string, unknown> {
  if (!frame.params) return {};
  return JSON.parse(rawText(frame.bytes, frame.params)) as Record<string, unknown>; // parseFrame made sure it is an object
}

/** The code of an error; undefined when the answer is none or its code is no number. */
export function errorCodeOf(frame: ResponseFrame): number | undefined {
  const span = frame.error?.members?.get('code');
  const code = span ? Number(rawText(frame.bytes, span)) : Number.NaN;
  return Number.isInteger(code) ? code : undefined;
}

/**
 * Whether an answer has the form that every client can read (2025-11-25, "JSON-RPC"). Official clients do not even see that one which
 * has not is an answer, and wait for it.
 */
export function isReadable(frame: ResponseFrame): boolean {
  const { bytes, result, error } = frame;
  if (error) {
    const isCode = Number.isSafeInteger(errorCodeOf(frame));
    return isCode && stringAt(bytes, error.members?.get('message')) !== undefined;
  }
  const meta = result?.members?.get('_meta');
  if (!meta) return result?.members !== undefined;
  const token = meta.members?.get('progressToken');
  const task = meta.members?.get(relatedTask);
  const hasToken = token === undefined || isToken(rawText(bytes, token));
  const hasTask = task === undefined || stringAt(bytes, task.members?.get('taskId')) !== undefined;
  return meta.members !== undefined && hasToken && hasTask;
}

function isToken(raw: string): boolean {
  return raw.startsWith('"') || Number.isSafeInteger(Number(raw));
}

const notUtf8: BadFrame = {
  kind: 'bad',
  code: -32700,
  reason: 'frame_syntax',
  message: 'The message is not valid UTF-8.',
  id: undefined,
  isAnswer: false,
};

function badEnvelope(message: string, id?: Buffer): BadFrame {
  return { kind: 'bad', code: -32600, reason: 'frame_envelope', message, id, isAnswer: false };
}

function fromScanError(error: unknown): BadFrame {
  if (!(error instanceof JsonScanError)) throw error;
  if (error.problem === 'syntax') {
    return {
      kind: 'bad',
      code: -32700,
      reason: 'frame_syntax',
      message: error.message,
      id: undefined,
      isAnswer: false,
    };
  }
  const reason = error.problem === 'ambiguous-key' ? 'frame_ambiguous' : 'frame_limits';
  return { kind: 'bad', code: -32600, reason, message: error.message, id: undefined, isAnswer: false };
}
