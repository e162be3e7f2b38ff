import { type Edit, splice } from '@strata/shared/json/splice.ts';
import type { RequestFrame, ScannedValue } from '../domain/frame.ts';
import type { MessageForm } from '../domain/upstream.ts';
import { rawText } from './frame.ts';
import { isHopMeta } from './modern/meta.ts';

export interface ForwardEdits {
  /** New text for members of `params`, by path: `['name']`, `['ref', 'uri']`. */
  readonly params: readonly { readonly path: readonly string[]; readonly text: string }[];
  readonly traceparent: string | undefined;
  readonly form: MessageForm;
}

/** The client's progress token as raw JSON, if it asked for progress. */
export function progressTokenOf(frame: RequestFrame): string | undefined {
  const token = frame.params?.members?.get('_meta')?.members?.get('progressToken');
  return token && rawText(frame.bytes, token);
}

/**
 * The client's request as a server gets it: under the channel's id, which also replaces the progress token so that tokens of
 * two clients cannot meet, with the names the server knows, with the trace, and with what the server's era wants in it.
 * Everything else is byte for byte the client's.
 */
export function renderForwarded(frame: RequestFrame, id: number, edits: ForwardEdits): Buffer {
  const { form } = edits;
  const added: string[] = [];
  const replaced: Edit[] = [];
  for (const [key, value] of membersIn(form.params)) {
    const own = frame.params?.members?.get(key);
    if (own) replaced.push({ start: own.start, end: own.end, text: value });
    else added.push(`${JSON.stringify(key)}:${value}`);
  }
  for (const { path, text } of edits.params) {
    const span = memberAt(frame.params, path);
    if (span && form.params?.[path[0] ?? ''] === undefined) {
      replaced.push({ start: span.start, end: span.end, text: JSON.stringify(text) });
    }
  }
  const meta = frame.params?.members?.get('_meta');
  if (meta?.members) replaced.push(...metaEdits(frame, meta, metaOf(frame, id, edits)));
  else if (!meta) added.push(...newMeta(metaOf(frame, id, edits)));
  const list: Edit[] = [{ start: frame.id.start, end: frame.id.end, text: String(id) }];
  if (added.length > 0) list.push(addMembers(frame, added.join(',')));
  for (const edit of replaced) list.push(edit);
  return splice(frame.bytes, list); // mostly in order so: most clients write the id first
}

type Member = readonly [key: string, json: string];

const none: readonly Member[] = [];

function membersIn(record: Readonly<Record<string, string>> | undefined): readonly Member[] {
  return record === undefined ? none : Object.entries(record);
}

/** What `_meta` has to hold on this hop, whatever the client wrote: raw JSON by key. */
function metaOf(frame: RequestFrame, id: number, { traceparent, form }: ForwardEdits): Member[] {
  const wanted: Member[] = [];
  if (traceparent !== undefined) wanted.push(['traceparent', `"${traceparent}"`]); // hexadecimal digits
  if (progressTokenOf(frame) !== undefined) wanted.push(['progressToken', String(id)]);
  for (const member of membersIn(form.meta)) wanted.push(member);
  return wanted;
}

function metaEdits(frame: RequestFrame, meta: ScannedValue, members: readonly Member[]): Edit[] {
  const wanted = new Map(members);
  const own = meta.members ?? new Map<string, ScannedValue>();
  const isForeign = (key: string) => isHopMeta(key) && !wanted.has(key);
  if ([...own.keys()].some(isForeign)) {
    const kept = [...own]
      .filter(([key]) => !isHopMeta(key) && !wanted.has(key))
      .map(([key, span]) => [key, rawText(frame.bytes, span)] as const);
    return [{ start: meta.start, end: meta.end, text: objectOf([...kept, ...wanted]) }];
  }
  const edits: Edit[] = [];
  const missing: Member[] = [];
  for (const [key, value] of wanted) {
    const span = own.get(key);
    if (span) edits.push({ start: span.start, end: span.end, text: value });
    else missing.push([key, value]);
  }
  if (missing.length > 0) edits.push(firstMember(meta, membersOf(missing)));
  return edits;
}

function newMeta(wanted: readonly Member[]): string[] {
  return wanted.length === 0 ? [] : [`"_meta":${objectOf(wanted)}`];
}

function addMembers(frame: RequestFrame, members: string): Edit {
  return frame.params
    ? firstMember(frame.params, members)
    : firstMember(frame.whole, `"params":{${members}}`);
}

function objectOf(members: readonly Member[]): string {
  return `{${membersOf(members)}}`;
}

function membersOf(members: readonly Member[]): string {
  let text = '';
  for (const [key, value] of members) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${value}`;
  return text;
}

/** Inserts members at the beginning of an object whose members were recorded. */
export function firstMember(object: ScannedValue, members: string): Edit {
  const at = object.start + 1;
  const isEmpty = object.members?.size === 0;
  return { start: at, end: at, text: isEmpty ? members : `${members},` };
}

function memberAt(value: ScannedValue | undefined, path: readonly string[]): ScannedValue | undefined {
  let current = value;
  for (const key of path) current = current?.members?.get(key);
  return current;
}
