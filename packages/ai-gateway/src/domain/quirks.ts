import { hash } from 'node:crypto';
import { splice } from '@strata/shared/json/splice.ts';
import type { JsonObject } from './json-object.ts';
import { lastMember, scanObject, valueAt } from './json-scan.ts';
import { removeMembers, renameMembers, setMember } from './json-splice.ts';
import type { Losses } from './losses.ts';
import type { ModelRequest } from './protocol.ts';

/** How a vendor's form of a protocol differs from it, as data. */
export interface Quirks {
  /** Top-level parameters by the name that the vendor has for them. */
  readonly renames: Readonly<Record<string, string>>;
  /** Top-level parameters that the vendor refuses. */
  readonly refuses: readonly string[];
  /** The vendor takes only ids of tool calls that are this many letters and digits. */
  readonly toolCallIdLength?: number | undefined;
}

/** A written request as the vendor takes it. What has to be left out is told. */
export function applyQuirks(body: JsonObject, quirks: Quirks | undefined, losses: Losses): JsonObject {
  if (quirks === undefined) return body;
  const refused = quirks.refuses.filter(name => body[name] !== undefined);
  for (const name of refused) losses.dropped(name);
  const kept = Object.entries(body).filter(([name]) => !refused.includes(name));
  const renamed = Object.fromEntries(
    kept.map(([name, value]) => [Object.hasOwn(quirks.renames, name) ? quirks.renames[name] : name, value]),
  );
  const messages = withCallIds(renamed.messages, quirks.toolCallIdLength);
  return messages === undefined ? renamed : { ...renamed, messages };
}

/** The same for a request whose bytes pass: only the members that the vendor would stumble over are touched. */
export function applyRawQuirks(
  request: ModelRequest,
  quirks: Quirks | undefined,
  losses: Losses,
): ModelRequest {
  if (quirks === undefined) return request;
  const named = new Set(request.scanned.members.map(member => member.key));
  const refused = new Set(quirks.refuses.filter(name => named.has(name)));
  for (const name of refused) losses.dropped(name);
  // Of two names for one thing the vendor's own counts.
  const doubled = Object.entries(quirks.renames).filter(([from, to]) => named.has(from) && named.has(to));
  for (const [from] of doubled) refused.add(from);
  const renames = Object.fromEntries(Object.entries(quirks.renames).filter(([from]) => !refused.has(from)));
  const { body, scanned } = request;
  const edits = [...removeMembers(body, scanned, refused), ...renameMembers(body, scanned, renames)];
  const messages = withCallIds(messagesOf(request, quirks), quirks.toolCallIdLength);
  if (messages !== undefined) edits.push(...setMember(scanned, 'messages', JSON.stringify(messages)));
  if (edits.length === 0) return request;
  const changed = splice(body, edits);
  return { ...request, body: changed, scanned: scanObject(changed) };
}

function messagesOf({ body, scanned }: ModelRequest, { toolCallIdLength }: Quirks): unknown {
  if (toolCallIdLength === undefined || !body.includes('"tool_call')) return undefined;
  return valueAt(body, lastMember(scanned, 'messages'));
}

/**
 * Messages whose calls of tools have ids of the vendor's form. The same id becomes the same one in every turn, and ids that the vendor made
 * itself stay, so calls and results always meet. Undefined when nothing has to change.
 */
function withCallIds(messages: unknown, length: number | undefined): unknown[] | undefined {
  if (length === undefined || !Array.isArray(messages)) return undefined;
  let isChanged = false;
  const short = (id: unknown): unknown => {
    if (typeof id !== 'string' || isOfForm(id, length)) return id;
    isChanged = true;
    return shortened(id, length);
  };
  const written = messages.map((message: unknown) => {
    if (!isObject(message)) return message;
    const { tool_calls: calls, tool_call_id: id } = message;
    return {
      ...message,
      ...(id !== undefined && { tool_call_id: short(id) }),
      ...(Array.isArray(calls) && {
        tool_calls: calls.map((call: unknown) => (isObject(call) ? { ...call, id: short(call.id) } : call)),
      }),
    };
  });
  return isChanged ? written : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOfForm(id: string, length: number): boolean {
  return id.length === length && /^[A-Za-z0-9]+$/.test(id);
}

function shortened(id: string, length: number): string {
  return hash('sha256', id, 'base64')
    .replaceAll(/[^A-Za-z0-9]/g, '')
    .slice(0, length);
}
