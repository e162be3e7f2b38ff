import { hasTasks } from '../domain/capabilities.ts';
import type { Upstream } from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { mayHearOf } from './may-call.ts';
import type { WatchOptions } from './watch-options.ts';

interface WatchedTask {
  readonly upstream: Upstream;
  readonly taskId: string;
}

/** Tasks of one principal that one listener hears of (SEP-2663), by the ids that its client knows. */
export class WatchedTasks {
  readonly #options: WatchOptions;
  readonly #confirmMs: number;
  readonly #tasks = new Map<string, WatchedTask>();

  constructor(options: WatchOptions, confirmMs: number) {
    this.#options = options;
    this.#confirmMs = confirmMs;
  }

  has(exposed: string): boolean {
    return this.#tasks.has(exposed);
  }

  /** Whether one of these servers has any. */
  areOf(upstreams: ReadonlySet<Upstream>): boolean {
    return [...this.#tasks.values()].some(({ upstream }) => upstreams.has(upstream));
  }

  /** Resolves with those that their servers confirm in time, in the order they are asked. Never rejects. */
  async watch(asked: readonly string[]): Promise<string[]> {
    const late = AbortSignal.timeout(this.#confirmMs);
    await Promise.all(asked.map(exposed => this.#watch(exposed, late)));
    return asked.filter(exposed => this.#tasks.has(exposed));
  }

  stop(): void {
    for (const exposed of [...this.#tasks.keys()]) this.#forget(exposed);
  }

  async #watch(exposed: string, late: AbortSignal): Promise<void> {
    const { peer } = this.#options;
    const task = await withSignal(this.#find(exposed), late).catch(() => undefined);
    if (task === undefined) return;
    this.#tasks.set(exposed, task); // what is told together with the confirmation is heard as well
    const confirmed = peer.holdTask(task.upstream, task.taskId);
    const isTold = await withSignal(confirmed, late).catch(() => false);
    if (!isTold) this.#forget(exposed);
  }

  /** A task at a server that can be asked, and that this caller may use. */
  async #find(exposed: string): Promise<WatchedTask | undefined> {
    const { peer, directory, signal } = this.#options;
    const found = peer.taskOf(exposed);
    const upstream = found && directory.get(found.server);
    const isTold = hasTasks(peer.hello.capabilities) && upstream?.policy.sharing === 'session';
    if (!found || !upstream || !isTold) return undefined;
    if (!mayHearOf(this.#options, upstream, 'tasks/get')) return undefined;
    const isReady = await peer.channels
      .channelOf(upstream)
      .ready(signal)
      .then(
        () => true,
        () => false, // one that cannot be reached tells nothing
      );
    return isReady ? { upstream, taskId: found.taskId } : undefined;
  }

  #forget(exposed: string): void {
    const task = this.#tasks.get(exposed);
    if (task === undefined) return;
    this.#tasks.delete(exposed);
    this.#options.peer.releaseTask(task.upstream, task.taskId);
  }
}
