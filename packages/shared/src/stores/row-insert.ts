import type { CompiledQuery, DialectAdapter, Transaction } from 'kysely';

/** Rows of one statement, most first. What is left over goes in the next smaller size. */
const sizes = [64, 16, 4, 1];

interface Compilable<Result> {
  compile(): CompiledQuery<Result>;
}

/**
 * Inserts many rows of one shape in few statements of few sizes. Their texts are made once and prepared once: for rows that are stored in
 * groups of ever other sizes, to build and to parse a statement each time costs more than to store them.
 *
 * `build` makes the statement for some rows that hold every column, in the same order. It must not depend on what stands in them.
 */
export class RowInsert<Schema, Row extends object, Result = never> {
  readonly #build: (transaction: Transaction<Schema>, rows: readonly Row[]) => Compilable<Result>;
  /** Of each database, by the number of rows. */
  readonly #compiled = new WeakMap<DialectAdapter, Map<number, CompiledQuery<Result>>>();

  constructor(build: (transaction: Transaction<Schema>, rows: readonly Row[]) => Compilable<Result>) {
    this.#build = build;
  }

  /** What the statements returned, where they return something, and how many rows are new or changed. */
  async execute(
    transaction: Transaction<Schema>,
    rows: readonly Row[],
  ): Promise<{ readonly returned: Result[]; readonly affected: number }> {
    const returned: Result[] = [];
    let affected = 0;
    let from = 0;
    for (const size of sizes) {
      for (; rows.length - from >= size; from += size) {
        const result = await transaction.executeQuery(
          this.#statement(transaction, rows.slice(from, from + size)),
        );
        for (const each of result.rows) returned.push(each);
        affected += Number(result.numAffectedRows ?? result.rows.length);
      }
    }
    return { returned, affected };
  }

  #statement(transaction: Transaction<Schema>, rows: readonly Row[]): CompiledQuery<Result> {
    const { adapter } = transaction.getExecutor();
    const statements = this.#compiled.get(adapter) ?? new Map<number, CompiledQuery<Result>>();
    this.#compiled.set(adapter, statements);
    const known = statements.get(rows.length);
    if (known !== undefined) return { ...known, parameters: rows.flatMap(row => Object.values(row)) };
    const compiled = this.#build(transaction, rows).compile();
    statements.set(rows.length, compiled);
    return compiled;
  }
}
