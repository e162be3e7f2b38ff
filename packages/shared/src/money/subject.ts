import { matchesScope } from '../identity/scopes.ts';

/**
 * What a budget or a limit can stand on. The first five are the tree that a caller belongs to, from its root; the rest are what a request
 * is about. Ids are unique within an organisation; the id of an organisation is its tenant.
 */
export const subjectKinds = [
  'organisation',
  'team',
  'project',
  'principal',
  'key',
  'tag',
  'model',
  'tool',
  'upstream',
  'run',
] as const;

export type SubjectKind = (typeof subjectKinds)[number];

export interface Subject {
  readonly kind: SubjectKind;
  readonly id: string;
}

/** `team:support`, as it is written in configuration and shown in errors. */
export function subjectText({ kind, id }: Subject): string {
  return `${kind}:${id}`;
}

/** Undefined when the text names no subject. */
export function parseSubject(text: string): Subject | undefined {
  const colon = text.indexOf(':');
  const kind = subjectKinds.find(each => each === text.slice(0, colon));
  const id = text.slice(colon + 1);
  return kind === undefined || id === '' ? undefined : { kind, id };
}

/** What budgets are made on: all but runs, whose budget is their own limit and covers the runs that they start. */
export const budgetSubjectKinds = subjectKinds.filter(kind => kind !== 'run');

/** What is wrong with the text as the subject of a budget; undefined when nothing is. */
export function wrongBudgetSubject(text: string): string | undefined {
  const kind = parseSubject(text)?.kind;
  if (kind === undefined) return `expected one of ${budgetSubjectKinds.join(', ')}, a colon and an id`;
  if (kind !== 'run') return undefined;
  return "a run's budget is its limit `cost_usd`: of the configuration, of its submission, or of `:resume`";
}

/**
 * Things found by the subjects that they stand on. An id that holds `*` stands for every id that fits; others are found at the cost of one
 * look a subject.
 */
export class SubjectIndex<Item> {
  readonly #exact = new Map<string, Item[]>();
  readonly #patterns: { readonly tenant: string; readonly subject: Subject; readonly item: Item }[] = [];

  constructor(
    items: Iterable<Item>,
    placeOf: (item: Item) => { readonly tenant: string; readonly subject: Subject },
  ) {
    for (const item of items) {
      const { tenant, subject } = placeOf(item);
      if (subject.id.includes('*')) {
        this.#patterns.push({ tenant, subject, item });
        continue;
      }
      const key = keyOf(tenant, subject);
      const together = this.#exact.get(key);
      if (together === undefined) this.#exact.set(key, [item]);
      else together.push(item);
    }
  }

  get isEmpty(): boolean {
    return this.#exact.size === 0 && this.#patterns.length === 0;
  }

  /** Every item that stands on one of the subjects, each once. */
  find(tenant: string, subjects: readonly Subject[]): Item[] {
    const found: Item[] = [];
    if (this.isEmpty) return found;
    for (const subject of subjects) {
      for (const item of this.#exact.get(keyOf(tenant, subject)) ?? []) found.push(item);
    }
    for (const { tenant: owner, subject, item } of this.#patterns) {
      if (owner === tenant && subjects.some(each => subjectFits(subject, each))) found.push(item);
    }
    return found;
  }
}

/** Whether the subject is of the kind of the pattern, and its id fits. */
export function subjectFits(pattern: Subject, { kind, id }: Subject): boolean {
  return pattern.kind === kind && matchesScope([pattern.id], id);
}

function keyOf(tenant: string, { kind, id }: Subject): string {
  return `${tenant}\n${kind}\n${id}`;
}
