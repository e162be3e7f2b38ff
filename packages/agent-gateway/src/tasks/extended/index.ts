import { type ExtendedTask, extended } from '../../domain/extended-task.ts';
import { defineTask, type Move, type TaskView } from '../../domain/task-type.ts';
import type { Directive, Next, Template } from '../../domain/workflow.ts';
import { type Case, compileCases, directiveOf } from '../switch/cases.ts';

interface Options {
  /** Of each extension; undefined for one that applies always. */
  readonly when: readonly (Template | undefined)[];
  /** The lists before, and the task itself as the last. */
  readonly first: Next;
  /** The lists after, of the extension that stands first last. */
  readonly after: readonly { readonly index: number; readonly first: Next }[];
  /** Of a `switch`. */
  readonly cases: readonly Case[];
  /** Where the task itself stands. */
  readonly inner: string;
}

interface Arguments {
  readonly applies: readonly boolean[];
  readonly directive?: Directive;
}

type View = TaskView<Options, Arguments>;

/** In scope of what is around a task: which extensions apply, and what the task begins with. */
const appliesVariable = 'strataApplies';
const inputVariable = 'strataInput';

/**
 * A task with extensions (specification 1.0, "Extension"): what they do before it, the task, and what they do after it. A task before it
 * that says `exit` stands in for the task: its output is then that of the task. Whatever else is done around the task changes neither
 * what it begins with nor what it gives.
 */
export const extendedTask = defineTask<Options, Arguments>({
  type: 'extended',
  keys: [],
  compile(definition, context) {
    // Put there by the reader of `use`; no document can say it.
    const { name, task, cases, extensions } = (definition as { [extended]: ExtendedTask })[extended];
    const { path } = context;
    const at = (index: number) => `${path}/around/${index}`;
    const variables = [appliesVariable, inputVariable];
    const startsFrom: Template = { kind: 'expression', source: `$${inputVariable}` };
    const before = extensions.map((each, index) => ({
      value: each.before,
      pointer: `${at(index)}/before`,
      condition: `$${appliesVariable}[${index}]`,
      startsFrom,
    }));
    const itself = { value: [{ [name]: task }], pointer: `${path}/task`, startsFrom };
    return {
      when: extensions.map((each, index) =>
        each.when === undefined ? undefined : context.expression(each.when, `${at(index)}/when`),
      ),
      first: context.flow([...before, itself], variables),
      after: extensions
        .map((each, index) => ({
          index,
          first: context.flow([{ value: each.after, pointer: `${at(index)}/after` }], variables),
        }))
        .filter(({ first }) => first !== null)
        .reverse(),
      cases: cases === undefined ? [] : compileCases(cases, context),
      inner: `${path}/task/0/`,
    };
  },
  async prepare({ when, cases }, scope) {
    const applies: boolean[] = [];
    for (const each of when) applies.push(each === undefined || isTruthy(await scope.evaluate(each)));
    const directive = await directiveOf(cases, scope);
    return { applies, ...(directive !== null && { directive }) };
  },
  plan(view) {
    const {
      options,
      arguments: { applies, directive },
      input,
      branches,
    } = view;
    const { opened, open, failed, first } = branches;
    if (failed?.result.status === 'failed') return fail(view, failed.result.error);
    if (open > 0) return { type: 'branches', open: [] };
    const variables = { [appliesVariable]: applies, [inputVariable]: input };
    if (opened === 0) return { type: 'branches', open: [{ first: options.first, data: 'input', variables }] };
    if (first?.result.status !== 'completed') throw new Error('A list that neither completed nor failed');
    const { output } = first.result;
    const next = options.after.filter(({ index }) => applies[index])[opened - 1];
    if (next === undefined)
      return { type: 'complete', output, ...(directive !== undefined && { directive }) };
    return { type: 'branches', open: [{ first: next.first, data: { value: output }, variables }] };
  },
});

/** The task itself stands one level deeper than its author put it. */
function fail({ node, options }: View, error: Extract<Move, { type: 'fail' }>['error']): Move {
  const isOfTask = error.instance?.startsWith(options.inner) === true;
  return { type: 'fail', error: isOfTask ? { ...error, instance: node.path } : error };
}

const isTruthy = (value: unknown) => value !== false && value !== null && value !== undefined;
