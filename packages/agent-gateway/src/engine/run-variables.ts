import type { ExpressionScope } from '../domain/expressions.ts';
import type { RunState } from '../domain/run-state.ts';
import type { TaskNode, Workflow } from '../domain/workflow.ts';

export interface ScopeOptions {
  readonly runId: string;
  readonly state: RunState;
  readonly workflow: Workflow;
  readonly node: TaskNode;
  readonly startedAtMs: number;
  /** Names that the lists around the task give. */
  readonly locals: Readonly<Record<string, unknown>>;
}

export interface ScopeValues {
  /** `.` */
  readonly data: unknown;
  readonly input?: unknown;
  readonly output?: unknown;
  /** Before `input.from` and before `output.as`. */
  readonly rawInput?: unknown;
  readonly rawOutput?: unknown;
}

const runtime = { name: 'strata', version: '0.1.0', metadata: {} };

/** The arguments of expressions (specification 1.0, "Runtime expression arguments"). */
export function createScope(
  { runId, state, workflow, node, startedAtMs, locals }: ScopeOptions,
  values: ScopeValues,
): ExpressionScope {
  return {
    data: values.data,
    variables: {
      ...locals,
      context: state.context,
      input: values.input,
      output: values.output,
      task: {
        ...node.subject,
        startedAt: instant(startedAtMs),
        input: values.rawInput,
        output: values.rawOutput,
      },
      workflow: {
        id: runId,
        definition: workflow.document,
        input: state.input,
        startedAt: instant(state.createdAtMs),
      },
      runtime,
      secrets: {},
      authorization: null,
    },
  };
}

/** A date-time descriptor (specification 1.0). */
function instant(ms: number) {
  return {
    iso8601: new Date(ms).toISOString(),
    epoch: { seconds: Math.floor(ms / 1000), milliseconds: ms },
  };
}
