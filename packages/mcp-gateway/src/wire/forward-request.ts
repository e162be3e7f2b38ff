import type { RequestFrame, ScannedValue } from '../domain/frame.ts';
import { rawText } from './frame.ts';
import { type Edit, splice } from './splice.ts';

export interface ForwardEdits {
  /** New text for members of `params`, by path: `['name']`, `['ref', 'uri']`. */
  readonly params: readonly { readonly path: readonly string[]; readonly text: string }[];
  readonly traceparent: string | undefined;
}

/** The client's progress token as raw JSON, if it asked for progress. */
export function progressTokenOf(frame: RequestFrame): string | undefined {
  const token = frame.params?.members?.get('_meta')?.members?.get('progressToken');
  return token && rawText(frame.bytes, token);
}

/**
 * The client's request as a server gets it: under the channel's id, which also replaces the progress token so that tokens of
 * two clients cannot meet, with the names the server knows, and with the trace. Everything else is byte for byte the client's.
 */
export function renderForwarded(frame: RequestFrame, id: number, edits: ForwardEdits): Buffer {
  const list: Edit[] = [{ start: frame.id.start, end: frame.id.end, text: String(id) }];
  for (const { path, text } of edits.params) {
    const span = memberAt(frame.params, path);
    if (span) list.push({ start: span.start, end: span.end, text: JSON.stringify(text) });
  }
  list.push(...metaEdits(frame, id, edits.traceparent));
  return splice(frame.bytes, list);
}

function metaEdits(frame: RequestFrame, id: number, traceparent: string | undefined): Edit[] {
  const { params } = frame;
  const meta = params?.members?.get('_meta');
  const edits: Edit[] = [];
  const token = meta?.members?.get('progressToken');
  if (token) edits.push({ start: token.start, end: token.end, text: String(id) });
  if (traceparent === undefined) return edits;
  const value = JSON.stringify(traceparent);
  const own = meta?.members?.get('traceparent');
  if (own) edits.push({ start: own.start, end: own.end, text: value });
  else if (meta?.members) edits.push(firstMember(meta, `"traceparent":${value}`));
  else if (params && !meta) edits.push(firstMember(params, `"_meta":{"traceparent":${value}}`));
  else if (!params) edits.push(firstMember(frame.whole, `"params":{"_meta":{"traceparent":${value}}}`));
  return edits;
}

function firstMember(object: ScannedValue, member: string): Edit {
  const at = object.start + 1;
  const isEmpty = object.members?.size === 0;
  return { start: at, end: at, text: isEmpty ? member : `${member},` };
}

function memberAt(value: ScannedValue | undefined, path: readonly string[]): ScannedValue | undefined {
  return path.reduce<ScannedValue | undefined>((current, key) => current?.members?.get(key), value);
}
