import type { JsonObject } from '../domain/json-object.ts';
import type { Loss } from '../domain/losses.ts';
import {
  type ForeignPart,
  isMedia,
  type MediaPart,
  type Message,
  type Part,
  type TextPart,
} from '../domain/neutral-request.ts';
import { asObject } from './read-json.ts';

/** Adds parts to the last message when it is of the same role: providers want turns to alternate. */
export function appendParts(messages: Message[], role: Message['role'], parts: readonly Part[]): void {
  if (parts.length === 0) return;
  const last = messages.at(-1);
  if (last?.role === role) messages[messages.length - 1] = { role, parts: [...last.parts, ...parts] };
  else messages.push({ role, parts });
}

/** Call id → name of the tool: results name only the id in most protocols. */
export function toolCallNames(calls: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  return new Map(calls);
}

/** What a tool's result may hold. */
export function resultTexts(parts: readonly Part[]): (TextPart | MediaPart | ForeignPart)[] {
  return parts.filter(part => part.type === 'text' || part.type === 'foreign' || isMedia(part));
}

/** System prompts are text; of what is none, only what it says. */
export function systemTexts(parts: readonly Part[]): TextPart[] {
  return parts.flatMap(part => {
    if (part.type === 'text') return [part];
    return part.type === 'foreign' && part.text !== undefined ? [{ type: 'text', text: part.text }] : [];
  });
}

export function metadataOf(value: unknown): Readonly<Record<string, string>> | undefined {
  const object = asObject(value);
  if (object === undefined) return undefined;
  return Object.fromEntries(Object.entries(object).filter(([, each]) => typeof each === 'string')) as Record<
    string,
    string
  >; // only the strings are left
}

/** The parts of a message in the order providers want: results of tools first. */
export function resultsFirst(parts: readonly Part[]): readonly Part[] {
  const results = parts.filter(part => part.type === 'tool-result');
  return results.length === 0 ? parts : [...results, ...parts.filter(part => part.type !== 'tool-result')];
}

/** The texts of a result as one, with what cannot be said in text left out. */
export function joinedText(parts: readonly Part[]): string {
  return parts.flatMap(part => (part.type === 'text' ? [part.text] : [])).join('\n');
}

const systemRoles = new Set<unknown>(['system', 'developer']);

/** What the system says in the middle of a conversation is said at its beginning. */
export function movedSystem(messages: readonly JsonObject[]): readonly Loss[] {
  const first = messages.findIndex(({ role }) => !systemRoles.has(role));
  const isMoved = first !== -1 && messages.slice(first).some(({ role }) => systemRoles.has(role));
  return isMoved ? [{ parameter: 'messages.system', action: 'changed' }] : [];
}
