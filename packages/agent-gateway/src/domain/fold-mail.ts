import type { RunEvent } from './run-events.ts';
import { openTask, type RunState } from './run-state.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

type MailEvent = EventOf<
  'event-received' | 'events-subscribed' | 'event-taken' | 'event-passed' | 'event-emitted'
>;

/** What names an event (CloudEvents 1.0, `id` and `source`). */
export const eventKey = ({ id, source }: { readonly id: string; readonly source: string }) =>
  `${source}\n${id}`;

/** Folds what was sent to the run, and what its tasks made of it. */
export function applyMail(state: RunState, event: MailEvent): void {
  if (event.type === 'event-received') {
    const receipt = ++state.lastReceipt;
    state.received.add(eventKey(event.event));
    state.mailbox.set(receipt, { ...event.event, receipt });
    return;
  }
  if (event.type === 'events-subscribed') {
    for (const type of event.types) state.subscribed.add(type);
    return;
  }
  const task = openTask(state, event);
  state.touched.add(task);
  if (event.type === 'event-emitted') {
    task.hasEmitted = true;
    return;
  }
  task.seenReceipt = event.receipt;
  const taken = event.type === 'event-taken' ? state.mailbox.get(event.receipt) : undefined;
  if (event.type !== 'event-taken' || taken === undefined) return;
  state.mailbox.delete(event.receipt);
  task.events.push(event.match === undefined ? taken : { ...taken, match: event.match });
}

/** Folds what became of the runs that its tasks started. */
export function applyChild(
  state: RunState,
  event: EventOf<'child-started' | 'child-ended' | 'child-held'>,
): void {
  const { runId } = event;
  if (event.type === 'child-started') {
    const task = openTask(state, event);
    task.child = { runId, outcome: event.isDetached ? { status: 'completed' } : undefined };
    state.heldTasks -= event.givenTasks ?? 0;
    if (event.isDetached === undefined) state.children.set(runId, task);
    state.touched.add(task);
    return;
  }
  const task = state.children.get(runId);
  if (task === undefined) return;
  state.touched.add(task);
  if (event.type === 'child-held') {
    task.child = { runId, outcome: undefined, held: event.error };
    return;
  }
  state.children.delete(runId);
  task.child = { runId, outcome: event.outcome };
}
