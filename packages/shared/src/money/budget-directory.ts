import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Budget } from './budget.ts';
import type { BudgetStore } from './budget-store.ts';
import { type Subject, SubjectIndex } from './subject.ts';

/** Whose money a request spends. */
export interface Spender {
  readonly tenant: string;
  /** The path through the tree, and what the request is about. */
  readonly subjects: readonly Subject[];
  /** The budget of the run that the request belongs to, when it has one. */
  readonly runBudgetId?: string | undefined;
}

/** How old what is known may be before a request sees to it that it is looked up, because the beat is late, and before nothing is decided without that. */
const lookAfterMs = 2000;
const waitAfterMs = 5000;
const maxRuns = 10_000;

/** A run's budget with the budgets that its limit is reserved from, at any height. */
interface KnownRun {
  readonly budget: Budget;
  readonly ancestors: ReadonlySet<string>;
}

/** The budgets in force, in memory. A change by any process is seen after about a second, and never acted against after five. */
export class BudgetDirectory {
  readonly #store: BudgetStore;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #runs = new Map<string, KnownRun>();
  #index = new SubjectIndex<Budget>([], budget => budget);
  #version = -1;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  /** Rises with each `forget`: what was begun to be read before is not kept. */
  #generation = 0;
  #checking: Promise<void> | undefined;

  /** While the store is away, what was known last holds for `maxAgeMs`. */
  constructor(options: { readonly store: BudgetStore; readonly clock: Clock; readonly maxAgeMs: number }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#maxAgeMs = options.maxAgeMs;
  }

  /**
   * The budgets that bear what the spender spends. Of a run they are its own and those that it was not reserved from.
   *
   * @throws GatewayError budget_exceeded (`run_budget_unknown`), overloaded (`store_unavailable`).
   */
  find(spender: Spender): readonly Budget[] | Promise<readonly Budget[]> {
    const ageMs = this.#clock.monotonic() - this.#checkedAtMs;
    if (ageMs > waitAfterMs) return this.#findLater(spender, ageMs);
    if (ageMs > lookAfterMs) void this.#check().catch(() => {}); // whoever must wait for it is told
    const { runBudgetId } = spender;
    if (runBudgetId === undefined) return this.#index.find(spender.tenant, spender.subjects);
    const run = this.#runs.get(runBudgetId);
    return run?.budget.tenant === spender.tenant ? this.#of(spender, run) : this.#findLater(spender, ageMs);
  }

  /** To be called every second, so that nobody has to ask before a change is seen. */
  look(): Promise<void> {
    return this.#check();
  }

  /** Sees at once what this process itself has changed. */
  forget(): void {
    this.#generation++;
    this.#checkedAtMs = Number.NEGATIVE_INFINITY;
    this.#runs.clear();
  }

  async #findLater(spender: Spender, ageMs: number): Promise<readonly Budget[]> {
    if (ageMs > waitAfterMs) {
      await this.#check().catch(error => {
        if (ageMs > this.#maxAgeMs) throw error;
      });
    }
    const { runBudgetId } = spender;
    if (runBudgetId === undefined) return this.#index.find(spender.tenant, spender.subjects);
    const run = this.#runs.get(runBudgetId) ?? (await this.#loadRun(runBudgetId));
    if (run.budget.tenant !== spender.tenant) throw unknownRun();
    return this.#of(spender, run);
  }

  #of({ tenant, subjects }: Spender, { budget, ancestors }: KnownRun): Budget[] {
    return [budget, ...this.#index.find(tenant, subjects).filter(each => !ancestors.has(each.id))];
  }

  /** One look at a time. */
  #check(): Promise<void> {
    this.#checking ??= this.#look().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #look(): Promise<void> {
    const generation = this.#generation;
    const atMs = this.#clock.monotonic();
    const version = await this.#store.version();
    const isNew = version !== this.#version;
    const budgets = isNew ? await this.#store.list() : [];
    if (generation !== this.#generation) return this.#look(); // whoever asked since waits for what is true now
    if (isNew) this.#index = new SubjectIndex(budgets, budget => budget);
    this.#version = version;
    this.#checkedAtMs = atMs;
  }

  async #loadRun(id: string): Promise<KnownRun> {
    const generation = this.#generation;
    const budget = await this.#store.find(id);
    if (budget === undefined || budget.subject.kind !== 'run') throw unknownRun();
    const ancestors = new Set<string>();
    for (let next = [...budget.parents]; next.length > 0; ) {
      for (const parent of next) ancestors.add(parent);
      const found = await Promise.all(next.map(parent => this.#store.find(parent)));
      next = found.flatMap(parent => parent?.parents ?? []).filter(parent => !ancestors.has(parent));
    }
    const run = { budget, ancestors };
    if (generation !== this.#generation) return run;
    const [oldest] = this.#runs.keys();
    if (this.#runs.size >= maxRuns && oldest !== undefined) this.#runs.delete(oldest);
    this.#runs.set(id, run);
    return run;
  }
}

function unknownRun(): GatewayError {
  return new GatewayError('budget_exceeded', 'The run that this call belongs to has no budget here.', {
    reason: 'run_budget_unknown',
  });
}
