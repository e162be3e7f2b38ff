import { announcementsOf } from '../domain/announcement.ts';
import type { Append, NewRun, Told } from '../domain/append.ts';
import { outcomeOf } from '../domain/child-outcome.ts';
import { isHeld } from '../domain/held-run.ts';
import type { CloudEvent, RunEvent } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';

/** What records have to say to others: it leaves with them, in one transaction (W11). */
export class Outgoing {
  readonly #by: string;
  readonly #runId: string;
  #spawned: NewRun[] = [];
  #told: Told[] = [];
  #published: CloudEvent[] = [];
  #announced: CloudEvent[] = [];
  #subscribed: string[] = [];
  #queue: Append['queue'];
  #migrate: Append['migrate'];

  constructor(runId: string) {
    this.#runId = runId;
    this.#by = `run:${runId}`;
  }

  spawn(run: NewRun): void {
    this.#spawned.push(run);
  }

  record(event: RunEvent, state: RunState, atMs: number): void {
    this.#announced.push(...announcementsOf(event, { runId: this.#runId, state, atMs }));
    if (event.type === 'event-emitted') this.#published.push(event.event);
    if (event.type === 'events-subscribed') this.#subscribed.push(...event.types);
    // The end of the run took its subscriptions away; what was published since comes now.
    if (event.type === 'run-rewound') this.#subscribed.push(...state.subscribed);
    if (event.type === 'run-migrated') {
      const { definition, version } = event;
      this.#migrate = { definition, version };
    }
    const outcome = outcomeOf(event);
    if (state.queue !== undefined && !state.queue.isShared) {
      const { name } = state.queue;
      if (event.type === 'run-rewound') this.#queue = { name, step: 'wait' };
      else if (outcome !== undefined || event.type === 'run-exported') this.#queue = { name, step: 'leave' };
    }
    if (outcome !== undefined && state.parent !== undefined)
      this.#tell(state.parent, 'child-ended', { runId: this.#runId, outcome });
    if (
      event.type === 'run-paused' &&
      event.error !== undefined &&
      state.parent !== undefined &&
      isHeld(state)
    )
      this.#tell(state.parent, 'child-held', { runId: this.#runId, error: event.error });
    for (const runId of state.released) {
      const { maxCostNanoUsd: costNanoUsd } = state.limits;
      this.#tell(runId, 'resume', { ...(costNanoUsd !== undefined && { costNanoUsd }) });
    }
    state.released = [];
    for (const runId of state.orphans) this.#tell(runId, 'cancel', { detail: 'Nobody waits for it.' });
    state.orphans = [];
  }

  take(): Pick<Append, 'spawn' | 'tell' | 'publish' | 'announce' | 'subscribe' | 'queue' | 'migrate'> {
    const taken = {
      ...(this.#spawned.length > 0 && { spawn: this.#spawned }),
      ...(this.#told.length > 0 && { tell: this.#told }),
      ...(this.#published.length > 0 && { publish: this.#published }),
      ...(this.#announced.length > 0 && { announce: this.#announced }),
      ...(this.#subscribed.length > 0 && { subscribe: this.#subscribed }),
      ...(this.#queue !== undefined && { queue: this.#queue }),
      ...(this.#migrate !== undefined && { migrate: this.#migrate }),
    };
    this.#spawned = [];
    this.#told = [];
    this.#published = [];
    this.#announced = [];
    this.#subscribed = [];
    this.#queue = undefined;
    this.#migrate = undefined;
    return taken;
  }

  #tell(runId: string, kind: Told['kind'], payload: unknown): void {
    this.#told.push({ runId, kind, payload, by: this.#by });
  }
}
