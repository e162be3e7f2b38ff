/** A symbol, because no document can have it: what is under it was put there by the reader of `use`. */
export const extended = Symbol('extended');

/** A task and what is done around it. */
export interface ExtendedTask {
  readonly name: string;
  readonly task: Readonly<Record<string, unknown>>;
  /** Of a `switch`: where its cases lead stands outside. */
  readonly cases: unknown;
  readonly extensions: readonly Extension[];
}

/** Specification 1.0, "Extension". */
export interface Extension {
  readonly pointer: string;
  /** Kinds of tasks; undefined for all of them. */
  readonly kinds: readonly string[] | undefined;
  readonly when: unknown;
  readonly before: unknown;
  readonly after: unknown;
}
