import * as z from 'zod';
import { reservedSignals } from '../../domain/approval.ts';
import type { ReceivedEvent } from '../../domain/run-events.ts';
import { type CompileContext, defineTask, type Move } from '../../domain/task-type.ts';
import type { Next } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';
import { variableName } from '../variable-name.ts';
import { compileFilter, type EventFilter } from './event-filter.ts';
import { type EventMatch, matchTemplate, readBefore } from './match.ts';

const filters = z.array(z.unknown()).max(50);
const untilSchema = z.union([
  z.string().min(1),
  z.strictObject({ one: z.unknown().optional(), any: filters.optional(), all: filters.optional() }),
]);

const listenSchema = z.strictObject({
  to: z.union(
    [
      z.strictObject({ one: z.unknown() }),
      z.strictObject({ all: filters.min(1) }),
      z.strictObject({ any: filters, until: untilSchema.optional() }),
    ],
    'Expected `one`, `all` or `any` with event filters',
  ),
  read: z.enum(['data', 'envelope', 'raw']).default('data'),
});

const foreachSchema = z.strictObject({
  item: variableName.default('item'),
  at: variableName.default('index'),
  do: z.unknown().optional(),
  output: z.looseObject({}).optional(),
  export: z.looseObject({}).optional(),
});

interface Options {
  readonly filters: readonly EventFilter[];
  /** Filters from here on are those of `until`. */
  readonly untilFrom: number;
  /** Whether every filter must have let an event through, or one of them. */
  readonly needsAll: boolean;
  /** Whether every one of those of `until` must. */
  readonly untilNeedsAll: boolean;
  readonly takesAny: boolean;
  readonly until: string | undefined;
  /** It goes on until `until` says otherwise. */
  readonly isOpenEnded: boolean;
  readonly read: 'data' | 'envelope' | 'raw';
  readonly foreach: { readonly list: Next; readonly item: string; readonly at: string } | undefined;
}

/**
 * `listen`: waits for events, and gives what they say, in the order in which they were taken. Events that came before anybody
 * waited are kept. With `foreach` each of them goes through a list of tasks before the next one is taken.
 */
export const listenTask = defineTask<Options | undefined, undefined>({
  type: 'listen',
  keys: ['listen', 'foreach'],
  compile(definition, context) {
    const pointer = `${context.path}/listen`;
    const shape = checkShape(listenSchema, { value: definition.listen, pointer }, context);
    if (shape === undefined) return undefined;
    const strategy = compileStrategy(shape.to, `${pointer}/to`, context);
    return { ...strategy, read: shape.read, foreach: compileForeach(definition.foreach, context) };
  },
  prepare: async () => undefined,
  plan(view) {
    const { options, branches } = view;
    if (options === undefined) throw new Error('The task was not compiled');
    const taken = readTaken(options, view.events);
    const { foreach } = options;
    if (foreach !== undefined) {
      if (branches.failed?.result.status === 'failed')
        return { type: 'fail', error: branches.failed.result.error };
      if (branches.open > 0) return { type: 'branches', open: [] };
      if (branches.opened < taken.read.length) return nextTurn(foreach, taken.read, branches.opened);
    }
    if (!taken.isOver) return listenOn(options, taken);
    return { type: 'complete', output: foreach === undefined ? taken.read : [...branches.outputs] };
  },
});

type Strategy = Omit<Options, 'read' | 'foreach'>;

function compileStrategy(
  to: z.output<typeof listenSchema>['to'],
  pointer: string,
  context: CompileContext,
): Strategy {
  const all = (values: readonly unknown[], at: string) =>
    values
      .map((value, index) => compileFilter(value, `${at}/${index}`, context))
      .filter(each => each !== undefined);
  const single = (value: unknown, at: string) => {
    const filter = compileFilter(value, at, context);
    return filter === undefined ? [] : [filter];
  };
  const plain = { untilNeedsAll: false, takesAny: false, until: undefined, isOpenEnded: false };
  if ('one' in to) {
    const found = single(to.one, `${pointer}/one`);
    return { ...plain, filters: found, untilFrom: found.length, needsAll: true };
  }
  if ('all' in to) {
    const found = all(to.all, `${pointer}/all`);
    return { ...plain, filters: found, untilFrom: found.length, needsAll: true };
  }
  const found = all(to.any, `${pointer}/any`);
  const { until } = to;
  const isCondition = typeof until === 'string';
  const condition = isCondition ? context.expression(until, `${pointer}/until`) : undefined;
  const enders =
    until === undefined || isCondition
      ? []
      : until.one !== undefined
        ? single(until.one, `${pointer}/until/one`)
        : all(until.all ?? until.any ?? [], `${pointer}/until/${until.all ? 'all' : 'any'}`);
  return {
    filters: [...found, ...enders],
    untilFrom: found.length,
    needsAll: false,
    untilNeedsAll: !isCondition && until?.all !== undefined,
    takesAny: to.any.length === 0,
    until: condition?.kind === 'expression' ? condition.source : undefined,
    isOpenEnded: until !== undefined,
  };
}

/** The list of a `foreach`, as one task that has the transformations of its output. */
function compileForeach(value: unknown, context: CompileContext): Options['foreach'] {
  if (value === undefined) return undefined;
  const pointer = `${context.path}/foreach`;
  const shape = checkShape(foreachSchema, { value, pointer }, context);
  if (shape === undefined) return undefined;
  const { item, at, do: tasks = [], ...transformations } = shape;
  // With transformations the list is a task of its own, so that they work as they do everywhere.
  const isPlain = Object.keys(transformations).length === 0;
  const list = isPlain ? tasks : [{ each: { do: tasks, ...transformations } }];
  if (!isPlain) {
    context.relocate(`${pointer}/do/0/each`, pointer);
  }
  return { item, at, list: context.list(list, `${pointer}/do`, [item, at]) };
}

interface Taken {
  /** What the events say, those of `until` left out. */
  readonly read: readonly unknown[];
  readonly open: readonly number[];
  readonly keys: Readonly<Record<string, unknown>>;
  readonly isOver: boolean;
}

function readTaken(options: Options, events: readonly ReceivedEvent[]): Taken {
  const open = new Set(options.filters.keys());
  const keys: Record<string, unknown> = {};
  const read: unknown[] = [];
  let isOver = false;
  for (const event of events) {
    const match = event.match as EventMatch; // what the match template gives
    Object.assign(keys, { ...match.keys, ...keys });
    const isMain =
      match.filters.some(index => index < options.untilFrom) ||
      (options.takesAny && match.filters.length === 0);
    if (isMain) read.push(readEvent(event, options.read));
    // In turn: an event that two filters let through counts for the first that still waits.
    const counted = match.filters.find(index => open.has(index));
    if (counted !== undefined && (options.needsAll || counted >= options.untilFrom)) open.delete(counted);
    isOver ||= match.isLast || isComplete(options, { open, isMain, match });
  }
  return { read, open: [...open], keys, isOver };
}

function isComplete(
  { needsAll, untilFrom, untilNeedsAll, isOpenEnded, filters }: Options,
  { open, isMain, match }: { open: ReadonlySet<number>; isMain: boolean; match: EventMatch },
): boolean {
  if (needsAll) return open.size === 0;
  if (!isOpenEnded) return isMain;
  const enders = [...filters.keys()].filter(index => index >= untilFrom);
  if (enders.length === 0) return false;
  return untilNeedsAll
    ? enders.every(index => !open.has(index))
    : match.filters.some(index => index >= untilFrom);
}

function readEvent({ value }: ReceivedEvent, read: Options['read']): unknown {
  if (read === 'envelope') return value;
  const { data, data_base64: bytes } = value as { data?: unknown; data_base64?: unknown }; // a CloudEvent or a signal
  return data ?? bytes ?? null;
}

/** The same of an event, as jq. */
const dataOfEvent = 'if .data != null then .data else .data_base64 end';

function listenOn(options: Options, { read, open, keys }: Taken): Move {
  const when = matchTemplate({
    filters: options.filters,
    open,
    takesAny: options.takesAny,
    known: keys,
    until: options.until,
    read: options.read === 'envelope' ? '.' : dataOfEvent,
  });
  return {
    type: 'events',
    awaited: {
      accepts: event => event.via === 'event' || !event.type.startsWith(reservedSignals),
      when,
      variables: { [readBefore]: read },
      types: options.takesAny
        ? ['*']
        : [...new Set(open.flatMap(index => options.filters[index]?.types ?? []))],
    },
  };
}

function nextTurn(foreach: NonNullable<Options['foreach']>, read: readonly unknown[], index: number): Move {
  const { list, item, at } = foreach;
  const variables = { [item]: read[index] ?? null, [at]: index };
  return { type: 'branches', open: [{ first: list, data: 'input', variables, isCollected: true }] };
}
