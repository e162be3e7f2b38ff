/**
 * Collections for what comes and goes with every request.
 *
 * V8's Set and Map leave the table behind that they outgrow, or that is full of what was deleted, with all that was in it at that moment and
 * with a pointer to the next one. Once such a table is in the old generation, nothing that follows it dies young any more: every request, with
 * its frames, headers and closures, is copied twice and lives until the next full collection. That was a tenth of the processor time of a call.
 * These two let go of what leaves.
 */

/** A member's place. Leaving twice does nothing. */
export interface Place {
  leave(): void;
}

/** Members in no order. */
export class InFlightSet<Member> {
  readonly #places: MemberPlace<Member>[] = [];

  add(member: Member): Place {
    const place = new MemberPlace(this.#places, member);
    this.#places.push(place);
    return place;
  }

  get size(): number {
    return this.#places.length;
  }

  /** Those that are in it now: they may leave while they are looked at. */
  *[Symbol.iterator](): Generator<Member> {
    for (const { member } of [...this.#places]) yield member;
  }
}

class MemberPlace<Member> implements Place {
  readonly member: Member;
  readonly #all: MemberPlace<Member>[];
  #index: number;

  constructor(all: MemberPlace<Member>[], member: Member) {
    this.#all = all;
    this.member = member;
    this.#index = all.length;
  }

  /** The last one takes its place. */
  leave(): void {
    if (this.#all[this.#index] !== this) return;
    const last = this.#all.pop();
    if (last === undefined || last === this) return;
    last.#index = this.#index;
    this.#all[this.#index] = last;
  }
}

/** Values by key, in the order in which they came. */
export class InFlightMap<Key, Value> {
  readonly #cells = new Map<Key, { value: Value | undefined }>();

  set(key: Key, value: Value): void {
    this.#cells.set(key, { value });
  }

  get(key: Key): Value | undefined {
    return this.#cells.get(key)?.value;
  }

  has(key: Key): boolean {
    return this.#cells.has(key);
  }

  /** Gives the value and forgets it. */
  take(key: Key): Value | undefined {
    const cell = this.#cells.get(key);
    if (cell === undefined) return undefined;
    const { value } = cell;
    cell.value = undefined;
    this.#cells.delete(key);
    return value;
  }

  /** Those that are in it now. */
  values(): Value[] {
    return [...this.#cells.values()].flatMap(({ value }) => (value === undefined ? [] : [value]));
  }

  /** The same, and forgets them. */
  takeAll(): Value[] {
    const values = this.values();
    for (const key of [...this.#cells.keys()]) this.take(key);
    return values;
  }
}
