import { lifecycleEventOf, withoutDetail } from './lifecycle-event.ts';
import type { NotUndone } from './run-error.ts';
import type { CloudEvent, RunEvent } from './run-events.ts';
import type { RunState } from './run-state.ts';

/** Records that are told to those outside, and as what. */
const announcedTypes = {
  'run-started': 'strata.run.started',
  'run-completed': 'strata.run.completed',
  'run-failed': 'strata.run.failed',
  'run-cancelled': 'strata.run.cancelled',
  'run-terminated': 'strata.run.terminated',
  'run-paused': 'strata.run.paused',
  'run-resumed': 'strata.run.resumed',
  'run-rewound': 'strata.run.rewound',
  'call-parked': 'strata.run.in_doubt',
} as const satisfies Partial<Record<RunEvent['type'], string>>;

interface Told {
  readonly runId: string;
  readonly state: RunState;
  readonly atMs: number;
}

/**
 * What a record says to webhooks: the event that a task emits, as it is, or events about the run, by our name and by the specification's.
 * The latter name the run and hold none of its data: whoever may see that asks for it.
 */
export function announcementsOf(event: RunEvent, told: Told): readonly CloudEvent[] {
  if (event.type === 'event-emitted') return [event.event];
  if (!(event.type in announcedTypes)) return [];
  const { runId, state, atMs } = told;
  const { workflow, position: seq, traceparent } = state;
  const lifecycle = lifecycleEventOf(event, { runId, workflow, seq, traceparent, atMs });
  return [runEventOf(event, told), ...(lifecycle === undefined ? [] : [lifecycle])];
}

const toldOf = (notUndone: readonly NotUndone[]) =>
  notUndone.map(({ path, error }) => ({ task: path, error: withoutDetail(error) }));

function runEventOf(event: RunEvent, { runId, state, atMs }: Told): CloudEvent {
  const type = announcedTypes[event.type as keyof typeof announcedTypes]; // `announcementsOf` has looked it up
  return {
    specversion: '1.0',
    id: `${runId}:${state.position}`,
    source: '/v1/runs',
    subject: runId,
    type,
    time: new Date(atMs).toISOString(),
    datacontenttype: 'application/json',
    traceparent: state.traceparent,
    data: {
      run: runId,
      workflow: state.workflow,
      principal: state.identity.principal,
      seq: state.position,
      cost: { nano_usd: state.costNanoUsd.toString(), unpriced_calls: state.unpricedCalls },
      ...(state.parent !== undefined && { parent: state.parent }),
      ...('error' in event && event.error !== undefined && { error: withoutDetail(event.error) }),
      ...('notUndone' in event && event.notUndone !== undefined && { not_undone: toldOf(event.notUndone) }),
      ...('by' in event && { by: event.by }),
      ...('path' in event && { task: event.path }),
    },
  };
}
