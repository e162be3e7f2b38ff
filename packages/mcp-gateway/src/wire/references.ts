import { type Span, stringAt } from '@strata/shared/json/json-text.ts';
import type { Edit } from '@strata/shared/json/splice.ts';
import type { Frame, ResponseFrame, ScannedValue } from '../domain/frame.ts';
import { answerScanLimits, scanElements, scanWithin } from './json-scanner.ts';
import { relatedTask } from './modern/meta.ts';

/** How a client knows what a server names: resources by URI, tasks by id. */
export interface ExposedNames {
  uri(uri: string): string;
  taskId(taskId: string): string;
}

/** Collects the places of names, by what they name. */
interface Places {
  readonly uris: Span[];
  readonly tasks: Span[];
}

type Members = ReadonlyMap<string, ScannedValue> | undefined;

const contentShape = { resource: {} };
const metaShape = { [relatedTask]: {}, ui: {} };

/**
 * The edits that give everything in a server's answer the name its client knows, in the places where the protocol puts names: links and
 * embedded resources in content, the contents of a read resource, its updates, pages of apps, tasks, and questions. A `uri` or `taskId` anywhere else
 * is the tool's own data and is left alone. @throws JsonScanError when a name is there twice
 */
export function answerEdits(method: string, frame: ResponseFrame, names: ExposedNames): Edit[] {
  const { bytes, result } = frame;
  if (!result?.members || !mayHoldNames(bytes)) return [];
  const places: Places = { uris: [], tasks: [] };
  addResult(bytes, result.members, places);
  if (method.startsWith('tasks/') || stringAt(bytes, result.members.get('resultType')) === 'task') {
    addTasks(bytes, result.members, places);
  }
  addTask(membersIn(bytes, result.members.get('task')), places);
  return editsOf(bytes, places, names);
}

/** The same for a request or notification of a server. @throws JsonScanError */
export function messageEdits(frame: Exclude<Frame, ResponseFrame>, names: ExposedNames): Edit[] {
  const { bytes, method, params } = frame;
  if (!params?.members || !mayHoldNames(bytes)) return [];
  const places: Places = { uris: [], tasks: [] };
  addParams(bytes, method, params.members, places);
  return editsOf(bytes, places, names);
}

/** Where an answer of a client names the task it belongs to. */
export function relatedTaskOf({ result }: ResponseFrame): Span | undefined {
  return result?.members?.get('_meta')?.members?.get(relatedTask)?.members?.get('taskId');
}

function mayHoldNames(bytes: Buffer): boolean {
  return bytes.includes(uriEnd) || bytes.includes(taskIdEnd);
}

const uriEnd = Buffer.from('ri"');
const taskIdEnd = Buffer.from('taskId"');

function addResult(bytes: Buffer, members: Members, places: Places): void {
  for (const block of elementsOf(bytes, members?.get('content'))) addContent(bytes, block, places);
  for (const each of elementsOf(bytes, members?.get('contents'))) add(places.uris, each.members?.get('uri'));
  addMessages(bytes, members?.get('messages'), places);
  addMeta(bytes, members?.get('_meta'), places);
  addQuestions(bytes, members, places);
}

function addQuestions(bytes: Buffer, members: Members, places: Places): void {
  const questions = membersIn(bytes, members?.get('inputRequests'));
  for (const question of questions?.values() ?? []) {
    const request = membersIn(bytes, question, { params: {} });
    const method = stringAt(bytes, request?.get('method')) ?? '';
    addParams(bytes, method, request?.get('params')?.members, places);
  }
}

function addParams(bytes: Buffer, method: string, params: Members, places: Places): void {
  if (method === 'sampling/createMessage') addMessages(bytes, params?.get('messages'), places);
  if (method.startsWith('notifications/tasks')) {
    addTasks(bytes, params, places);
    addQuestions(bytes, params, places);
  }
  if (method === 'notifications/resources/updated') add(places.uris, params?.get('uri'));
  addMeta(bytes, params?.get('_meta'), places);
}

/** A task with its outcome in it (2026-07-28), or a list of tasks (2025-11-25). */
function addTasks(bytes: Buffer, members: Members, places: Places): void {
  addTask(members, places);
  for (const task of elementsOf(bytes, members?.get('tasks'))) addTask(task.members, places);
  const outcome = members?.get('result');
  if (outcome) addResult(bytes, membersIn(bytes, outcome), places);
}

function addTask(members: Members, places: Places): void {
  add(places.tasks, members?.get('taskId'));
}

function addMeta(bytes: Buffer, meta: Span | undefined, places: Places): void {
  const members = membersIn(bytes, meta, metaShape);
  addTask(members?.get(relatedTask)?.members, places);
  add(places.uris, members?.get('ui')?.members?.get('resourceUri'));
  add(places.uris, members?.get('ui/resourceUri'));
}

/** Messages of a prompt or of a sample: content is one block or several, and a tool's result holds blocks of its own. */
function addMessages(bytes: Buffer, messages: Span | undefined, places: Places): void {
  for (const message of elementsOf(bytes, messages)) {
    const content = message.members?.get('content');
    if (!content) continue;
    const blocks = elementsOf(bytes, content);
    if (blocks.length === 0)
      addContent(bytes, scanWithin(bytes, content, contentShape, answerScanLimits), places);
    for (const block of blocks) addContent(bytes, block, places);
  }
}

function addContent(bytes: Buffer, block: ScannedValue, places: Places): void {
  add(places.uris, block.members?.get('uri'));
  add(places.uris, block.members?.get('resource')?.members?.get('uri'));
  const inner = block.members?.get('content');
  if (!inner || stringAt(bytes, block.members?.get('type')) !== 'tool_result') return;
  for (const each of elementsOf(bytes, inner)) {
    add(places.uris, each.members?.get('uri'));
    add(places.uris, each.members?.get('resource')?.members?.get('uri'));
  }
}

function add(list: Span[], span: Span | undefined): void {
  if (span) list.push(span);
}

function editsOf(bytes: Buffer, places: Places, names: ExposedNames): Edit[] {
  const rename = (span: Span, nameOf: (own: string) => string): Edit[] => {
    const own = stringAt(bytes, span);
    const exposed = own === undefined ? undefined : nameOf(own);
    return exposed === undefined || exposed === own
      ? []
      : [{ start: span.start, end: span.end, text: JSON.stringify(exposed) }];
  };
  return [
    ...places.uris.flatMap(span => rename(span, own => names.uri(own))),
    ...places.tasks.flatMap(span => rename(span, own => names.taskId(own))),
  ];
}

function elementsOf(bytes: Buffer, array: Span | undefined): ScannedValue[] {
  return array ? scanElements(bytes, array, contentShape, answerScanLimits) : [];
}

function membersIn(bytes: Buffer, span: Span | undefined, shape = {}): Members {
  return span && scanWithin(bytes, span, shape, answerScanLimits).members;
}
