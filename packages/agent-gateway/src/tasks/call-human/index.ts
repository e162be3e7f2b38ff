import * as z from 'zod';
import { askCall, type DecisionSignal, decisionSignal } from '../../domain/approval.ts';
import { evaluateDuration } from '../../domain/duration.ts';
import { runError } from '../../domain/run-error.ts';
import type { ReceivedEvent } from '../../domain/run-events.ts';
import { defineTask, type Move, type PlannedCall, type TaskView } from '../../domain/task-type.ts';
import type { Duration, Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';
import type { Asked, Expired, HumanCall } from './human-effect.ts';

const people = z.array(z.string().min(1).max(200)).min(1).max(50);

const withSchema = z.strictObject({
  /** One line. */
  title: z.string().min(1).default('Please decide'),
  description: z.string().optional(),
  /** What is decided about; without it, the task's input. */
  content: z.unknown().optional(),
  /** JSON Schema of the data that comes with the decision, or a name for those who show the form. */
  form: z.union([z.string().min(1), z.record(z.string(), z.unknown())]).optional(),
  assignees: people,
  deadline: z.unknown(),
  escalation: z.strictObject({ after: z.unknown(), to: people }).optional(),
});

interface Options {
  readonly title: Template;
  readonly description: Template | undefined;
  readonly content: Template | undefined;
  readonly form: unknown;
  readonly assignees: Template;
  readonly deadline: Duration;
  readonly escalation: { readonly after: Duration; readonly to: readonly string[] } | undefined;
}

interface Arguments {
  readonly title: string;
  readonly description: string;
  readonly content: unknown;
  readonly assignees: readonly string[];
  /** Of durations that expressions give. */
  readonly deadlineMs?: number;
  readonly escalateAfterMs?: number;
}

type View = TaskView<Options | undefined, Arguments>;

/**
 * `call: human`: puts a question to people and waits for the decision, which is bound to exactly what was shown (G7). Its output is
 * `{ decision, by, at, comment, data }`. Without a decision by the deadline it fails with a timeout, which can be caught.
 */
export const callHumanTask = defineTask<Options | undefined, Arguments>({
  type: 'call:human',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const shape = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (shape === undefined) return undefined;
    const { title, description, content, form, assignees, deadline, escalation } = shape;
    const part = (value: unknown, name: string) =>
      value === undefined ? undefined : context.template(value, `${pointer}/${name}`);
    if (typeof form === 'object') context.schema(form, `${pointer}/form`);
    return {
      title: context.template(title, `${pointer}/title`),
      description: part(description, 'description'),
      content: part(content, 'content'),
      form,
      assignees: context.template(assignees, `${pointer}/assignees`),
      deadline: context.duration(deadline, `${pointer}/deadline`),
      escalation: escalation && {
        after: context.duration(escalation.after, `${pointer}/escalation/after`),
        to: escalation.to,
      },
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { title, description, content, assignees, deadline, escalation } = options;
    const evaluate = (template: Template) => scope.evaluate(template);
    const names = (await scope.evaluate(assignees)) as unknown[]; // the template of a list
    return {
      title: toText(await scope.evaluate(title)),
      description: description === undefined ? '' : toText(await scope.evaluate(description)),
      content: (content === undefined ? scope.input : await scope.evaluate(content)) ?? null,
      assignees: names.map(toText),
      ...(typeof deadline !== 'number' && { deadlineMs: await evaluateDuration(deadline, evaluate) }),
      ...(typeof escalation?.after === 'object' && {
        escalateAfterMs: await evaluateDuration(escalation.after, evaluate),
      }),
    };
  },
  plan(view) {
    const { options, calls, startedAtMs } = view;
    if (options === undefined) throw new Error('The task was not compiled');
    const { deadlineMs, escalateAfterMs, ...question } = view.arguments;
    const deadlineAtMs = startedAtMs + msOf(options.deadline, deadlineMs);
    const escalateAtMs = options.escalation && startedAtMs + msOf(options.escalation.after, escalateAfterMs);
    const asked = calls.get(askCall);
    if (asked?.status === 'failed') return { type: 'fail', error: asked.error };
    if (asked?.status !== 'completed')
      return callOnce(askCall, question.title, {
        type: 'ask',
        ...question,
        form: options.form ?? null,
        deadlineAtMs,
      });
    const { approval } = asked.result as Asked; // written by the effect `human`
    const decided = view.events.find(event => approvalOf(event) === approval);
    if (decided !== undefined) return { type: 'complete', output: outputOf(decided) };
    return waitOn(view, { approval, options, deadlineAtMs, escalateAtMs: escalateAtMs ?? deadlineAtMs });
  },
});

interface Waiting {
  readonly approval: string;
  readonly options: Options;
  readonly deadlineAtMs: number;
  readonly escalateAtMs: number;
}

/** A duration that was written down, or what its expression gave. */
const msOf = (duration: Duration, evaluatedMs: number | undefined) =>
  typeof duration === 'number' ? duration : (evaluatedMs ?? 0);

function waitOn(
  { node, calls, nowMs }: View,
  { approval, options, deadlineAtMs, escalateAtMs }: Waiting,
): Move {
  const awaited = {
    accepts: (event: ReceivedEvent) =>
      event.via === 'signal' && event.type === decisionSignal && approvalOf(event) === approval,
  };
  const { escalation } = options;
  const isEscalated = calls.has('escalate');
  if (nowMs >= deadlineAtMs) {
    const expired = calls.get('expire');
    if (expired?.status !== 'completed') return callOnce('expire', 'deadline', { type: 'expire', approval });
    const { status } = expired.result as Expired; // written by the effect `human`
    if (status !== 'expired') return { type: 'events', awaited }; // decided in the last moment: its signal is on the way
    return { type: 'fail', error: tooLate(node.path) };
  }
  if (escalation !== undefined && !isEscalated && nowMs >= escalateAtMs && escalateAtMs < deadlineAtMs)
    return callOnce('escalate', 'escalation', { type: 'escalate', approval, to: escalation.to });
  return {
    type: 'events',
    awaited,
    untilMs: isEscalated ? deadlineAtMs : Math.min(escalateAtMs, deadlineAtMs),
  };
}

function callOnce(id: string, label: string, request: HumanCall): Move {
  const call: PlannedCall = { id, effect: 'human', label, request, inDoubt: 'retry' };
  return { type: 'calls', calls: [call] };
}

function approvalOf({ value }: ReceivedEvent): string | undefined {
  return signalOf(value)?.approval;
}

function signalOf(value: unknown): DecisionSignal | undefined {
  const { data } = value as { data?: DecisionSignal }; // only the gateway sends signals of this name
  return data ?? undefined;
}

function outputOf({ value }: ReceivedEvent): unknown {
  const { decision } = signalOf(value) ?? {};
  if (decision === undefined) throw new Error('A decision without its content');
  const { atMs, ...rest } = decision;
  return { ...rest, at: new Date(atMs).toISOString() };
}

function tooLate(instance: string) {
  return runError('timeout', {
    status: 408,
    detail: 'Nobody decided before the deadline.',
    instance,
    reason: 'approval_expired',
  });
}

const toText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value ?? null));
