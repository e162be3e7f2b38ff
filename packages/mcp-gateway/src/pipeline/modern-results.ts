import { stringAt } from '@strata/shared/json/json-text.ts';
import type { Edit } from '@strata/shared/json/splice.ts';
import type { ResponseFrame, ScannedValue } from '../domain/frame.ts';
import { firstMember } from '../wire/forward-request.ts';
import { errorCodeOf, rawText } from '../wire/frame.ts';
import { answerScanLimits, scanWithin } from '../wire/json-scanner.ts';
import { hopMeta, hopPrefix, isHopMeta } from '../wire/modern/meta.ts';
import { withoutMembers } from '../wire/splice.ts';
import { gatewayInfo } from './gateway-identity.ts';

const resourceNotFound = -32002;
const info = JSON.stringify(gatewayInfo);
const modernMembers = ['resultType', 'ttlMs', 'cacheScope'];
const openBrace = 0x7b;

/** Makes a server's answer one of the revision 2026-07-28, whichever era it came from. The state has to be sealed apart. */
export function modernEdits(method: string, answer: ResponseFrame): Edit[] {
  if (answer.error) return errorEdits(method, answer);
  const { result } = answer;
  if (!result?.members) return [];
  const added: string[] = [];
  const edits: Edit[] = [];
  if (!result.members.has('resultType')) added.push('"resultType":"complete"');
  if (method === 'resources/read' && !result.members.has('inputRequests')) {
    if (!result.members.has('ttlMs')) added.push('"ttlMs":0');
    const scope = result.members.get('cacheScope');
    // What one caller may read another may not: nothing that a key decides on is for all (M19).
    if (!scope) added.push('"cacheScope":"private"');
    else if (stringAt(answer.bytes, scope) === 'public') edits.push({ ...scope, text: '"private"' });
  }
  if (added.length > 0) edits.push(firstMember(result, added.join(',')));
  edits.push(...identityEdits(answer));
  return edits;
}

const nothing: ReadonlySet<string> = new Set();

/** Takes away what only the new era knows, for a client of the old one. */
export function legacyEdits({ result, bytes }: ResponseFrame): Edit[] {
  if (!result?.members) return [];
  const isModern = result.members.has('resultType');
  // A result that is no object has its text in `content` too (2026-07-28, "Structured Content").
  const structured = result.members.get('structuredContent');
  const isUnreadable = structured !== undefined && bytes[structured.start] !== openBrace;
  if (!isModern && !isUnreadable) return withoutHopMeta(bytes, result);
  const dropped = new Set<string>(isModern ? modernMembers : []);
  if (isUnreadable) dropped.add('structuredContent');
  return withoutHopMeta(bytes, result, dropped);
}

/** Takes members out of an object, and out of its `_meta` what belongs to the hop to the server. */
export function withoutHopMeta(
  bytes: Buffer,
  object: ScannedValue,
  dropped: ReadonlySet<string> = nothing,
): Edit[] {
  const span = object.members?.get('_meta');
  if (!span || !bytes.includes(hopPrefix)) return withoutMembers(bytes, object, dropped);
  const meta = scanWithin(bytes, span, {}, answerScanLimits);
  const keys = [...(meta.members?.keys() ?? [])];
  const ofHop = new Set(keys.filter(isHopMeta));
  if (ofHop.size > 0 && ofHop.size === keys.length) {
    return withoutMembers(bytes, object, new Set([...dropped, '_meta']));
  }
  return [...withoutMembers(bytes, object, dropped), ...withoutMembers(bytes, meta, ofHop)];
}

/** The server behind the gateway is nobody the client speaks to. */
function identityEdits({ bytes, result }: ResponseFrame): Edit[] {
  const meta = result?.members?.get('_meta');
  if (!meta || !bytes.includes(hopMeta.serverInfo)) return [];
  const own = scanWithin(bytes, meta, {}, answerScanLimits).members?.get(hopMeta.serverInfo);
  return own ? [{ start: own.start, end: own.end, text: info }] : [];
}

function errorEdits(method: string, answer: ResponseFrame): Edit[] {
  const span = answer.error?.members?.get('code');
  const isNotFound = method === 'resources/read' && errorCodeOf(answer) === resourceNotFound;
  return span && isNotFound ? [{ start: span.start, end: span.end, text: '-32602' }] : [];
}

/** The HTTP status that goes with an error's code (2026-07-28, "Errors"). */
export function statusOfCode(code: number | undefined): number {
  if (code === -32601) return 404;
  return code !== undefined && code <= -32020 && code >= -32022 ? 400 : 200;
}

/** The state in an `input_required` result, if it is one that holds text. */
export function stateOf(answer: ResponseFrame): { text: string; start: number; end: number } | undefined {
  const span = answer.result?.members?.get('requestState');
  if (!span) return undefined;
  const text = stringAt(answer.bytes, span) ?? rawText(answer.bytes, span);
  return { text, start: span.start, end: span.end };
}
