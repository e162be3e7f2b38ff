import type { RunError } from './run-error.ts';
import type { CloudEvent, RunEvent } from './run-events.ts';

/** Serverless Workflow 1.0.3, "Workflow Lifecycle Events": the last word of the type, and the member with the moment. */
const lifecycles = {
  'run-started': ['started', 'startedAt'],
  'run-paused': ['suspended', 'suspendedAt'],
  'run-resumed': ['resumed', 'resumedAt'],
  'run-completed': ['completed', 'completedAt'],
  'run-failed': ['faulted', 'faultedAt'],
  'run-cancelled': ['cancelled', 'cancelledAt'],
  // "The workflow execution has been terminated before completion."
  'run-terminated': ['cancelled', 'cancelledAt'],
} as const satisfies Partial<Record<RunEvent['type'], readonly [string, string]>>;

/** A webhook for `*` is told the same under its own names, and of these only when its types say more than that. */
export const lifecyclePrefix = 'io.serverlessworkflow.workflow.';

interface Told {
  readonly runId: string;
  /** `namespace/name:version` */
  readonly workflow: string;
  readonly seq: number;
  readonly traceparent: string;
  readonly atMs: number;
}

/** The event that the specification defines for what happened to a run. It has no `output`, which it need not have: that is data. */
export function lifecycleEventOf(event: RunEvent, told: Told): CloudEvent | undefined {
  if (!(event.type in lifecycles)) return undefined;
  const [word, member] = lifecycles[event.type as keyof typeof lifecycles]; // just looked up
  const [, namespace = '', name = '', version = ''] = /^([^/]*)\/(.*?):(.*)$/.exec(told.workflow) ?? [];
  const time = new Date(told.atMs).toISOString();
  return {
    specversion: '1.0',
    id: `${told.runId}:${told.seq}:${word}`,
    source: '/v1/runs',
    subject: told.runId,
    type: `${lifecyclePrefix}${word}.v1`,
    time,
    datacontenttype: 'application/json',
    traceparent: told.traceparent,
    data: {
      name: `${name}-${told.runId}.${namespace}`,
      ...(word === 'started' && { definition: { namespace, name, version } }),
      [member]: time,
      ...(event.type === 'run-failed' && { error: withoutDetail(event.error) }),
    },
  };
}

/** The detail may quote data. */
export function withoutDetail({ detail: _, ...error }: RunError): Omit<RunError, 'detail'> {
  return error;
}
