import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { Row } from '../rows.ts';

/** The statements of one connection, each prepared once. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #hasBigIntegers: boolean;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, options: { readonly hasBigIntegers?: boolean } = {}) {
    this.#database = database;
    this.#hasBigIntegers = options.hasBigIntegers ?? false;
  }

  /** Gives how many rows it changed. */
  run(text: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(text).run(...values).changes);
  }

  get(text: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(text).get(...values);
  }

  all(text: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(text).all(...values);
  }

  clear(): void {
    this.#prepared.clear();
  }

  #prepare(text: string): StatementSync {
    let statement = this.#prepared.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      statement.setReadBigInts(this.#hasBigIntegers);
      this.#prepared.set(text, statement);
    }
    return statement;
  }
}
