import { type Span, stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import { isObject } from '../domain/capabilities.ts';
import type { CatalogItem, ListKind } from '../domain/catalog.ts';
import type { ResponseFrame, ScannedValue } from '../domain/frame.ts';
import { formOf } from './item-form.ts';
import { answerScanLimits, scanElements, scanJson, scanWithin } from './json-scanner.ts';
import { hasValidHeaders } from './modern/param-headers.ts';
import { copySpan } from './render.ts';
import { withoutMembers } from './splice.ts';

/** One tool, prompt, resource or template as its server described it, with the place of its key. */
export interface ListedItem extends CatalogItem {
  readonly bytes: Buffer;
  readonly keySpan: Span;
  /** What clients with sessions are shown instead, where they cannot read the whole. */
  readonly forSessions?: ListedItem;
}

export const listMethods: Readonly<Record<ListKind, string>> = {
  tools: 'tools/list',
  prompts: 'prompts/list',
  resources: 'resources/list',
  templates: 'resources/templates/list',
};

/** The member of the result that holds the items. */
export const listMembers: Readonly<Record<ListKind, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resourceTemplates',
};

const keyMembers: Readonly<Record<ListKind, string>> = {
  tools: 'name',
  prompts: 'name',
  resources: 'uri',
  templates: 'uriTemplate',
};

/**
 * Reads one page of a server's list. Items without a key are left out, and without `hasTasks` those that can only run as a task; those
 * that lack something else are marked.
 */
export function readListPage(
  frame: ResponseFrame,
  kind: ListKind,
  hasTasks: boolean,
): { items: ListedItem[]; nextCursor: string | undefined } {
  const array = frame.result?.members?.get(listMembers[kind]);
  const elements = array ? scanElements(frame.bytes, array, undefined, answerScanLimits) : [];
  const items = elements
    .map(element => readItem(copySpan(frame.bytes, element), kind, hasTasks))
    .filter(item => item !== undefined);
  return { items, nextCursor: stringAt(frame.bytes, frame.result?.members?.get('nextCursor')) };
}

function readItem(bytes: Buffer, kind: ListKind, hasTasks: boolean): ListedItem | undefined {
  try {
    const whole = scanJson(bytes, { execution: {} }, answerScanLimits);
    const form = formOf(kind, bytes.toString());
    const taskEdits =
      kind === 'tools' && !hasTasks && !form.unfit.has('execution') ? withoutTasks(bytes, whole) : [];
    if (taskEdits === undefined) return undefined;
    const item = itemAt(splice(bytes, [...taskEdits, ...withoutMembers(bytes, whole, form.unfit)]), kind);
    if (!item) return undefined;
    const forSessions = form.isModernOutput ? withoutOutputSchema(item, kind) : undefined;
    return { ...item, isRefused: !form.isWhole, ...(forSessions && { forSessions }) };
  } catch (error) {
    if (error instanceof JsonScanError) return undefined; // one key twice: nobody knows what it is
    throw error;
  }
}

function itemAt(bytes: Buffer, kind: ListKind): ListedItem | undefined {
  if (kind === 'tools' && !hasValidHeaders({ bytes })) return undefined;
  const keySpan = scanJson(bytes, {}, answerScanLimits).members?.get(keyMembers[kind]);
  const key = stringAt(bytes, keySpan);
  if (keySpan === undefined || key === undefined) return undefined;
  return { key, bytes, keySpan: { start: keySpan.start, end: keySpan.end } };
}

function withoutOutputSchema({ bytes }: ListedItem, kind: ListKind): ListedItem | undefined {
  const whole = scanJson(bytes, {}, answerScanLimits);
  return itemAt(splice(bytes, withoutMembers(bytes, whole, new Set(['outputSchema']))), kind);
}

/**
 * Where tasks of the revision 2025-11-25 are not carried, a tool is not shown as if they were; one that can only run as a task is not shown
 * at all (`undefined`).
 */
function withoutTasks(bytes: Buffer, { members }: ScannedValue): Edit[] | undefined {
  const execution = members?.get('execution');
  const support = stringAt(bytes, execution?.members?.get('taskSupport'));
  if (support === 'required') return undefined;
  return support === undefined || !execution
    ? []
    : [{ start: execution.start, end: execution.end, text: '{}' }];
}

/** Writes one item under the key a client sees. */
export function renderItem(item: ListedItem, exposed: string, exposeUri: (uri: string) => string): Buffer {
  const edits: Edit[] = [];
  if (exposed !== item.key) edits.push({ ...item.keySpan, text: JSON.stringify(exposed) });
  if (hasAppUri(item)) edits.push(...appUriEdits(item.bytes, exposeUri));
  return splice(item.bytes, edits);
}

/** What a server says about a tool of its (2025-03-26, "Tool annotations"). */
export function annotationsOf(item: ListedItem): Readonly<Record<string, unknown>> {
  const span = scanJson(item.bytes, {}, answerScanLimits).members?.get('annotations');
  if (!span) return {};
  const parsed: unknown = JSON.parse(item.bytes.toString('utf8', span.start, span.end));
  return isObject(parsed) ? parsed : {};
}

/** Whether the item may name the page of an MCP App. */
export function hasAppUri(item: ListedItem): boolean {
  return item.bytes.includes('resourceUri"');
}

/** MCP Apps name a tool's page in `_meta.ui.resourceUri`; before 2026 in `_meta["ui/resourceUri"]`. */
function appUriEdits(bytes: Buffer, exposeUri: (uri: string) => string): Edit[] {
  const whole = scanWithin(bytes, { start: 0, end: bytes.length }, { _meta: { ui: {} } }, answerScanLimits);
  const meta = whole.members?.get('_meta')?.members;
  return [meta?.get('ui')?.members?.get('resourceUri'), meta?.get('ui/resourceUri')].flatMap(span => {
    const uri = stringAt(bytes, span);
    if (span === undefined || uri === undefined) return [];
    const exposed = exposeUri(uri);
    return exposed === uri ? [] : [{ start: span.start, end: span.end, text: JSON.stringify(exposed) }];
  });
}
