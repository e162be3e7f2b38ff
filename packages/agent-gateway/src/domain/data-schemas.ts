/** Where a value is not what its schema says. */
export interface SchemaProblem {
  /** JSON pointer into the value. */
  readonly pointer: string;
  readonly message: string;
}

/** The first of them in words, for the end of a sentence. */
export function firstProblem(problems: readonly SchemaProblem[]): string | undefined {
  const [first] = problems;
  return first && `${first.pointer === '' ? '' : ` at ${first.pointer}`}: ${first.message}.`;
}

/** JSON Schema (2020-12) of the data that goes in and out of tasks. */
export interface DataSchemas {
  /** What is wrong with the schema itself, or undefined. References to other documents are wrong: nothing is fetched. */
  check(schema: unknown): Promise<string | undefined>;
  /**
   * Every place where the value is not what the schema says, some at the most.
   *
   * @throws GatewayError timeout (`schema_timeout`), overloaded (`schema_busy`).
   */
  validate(schema: unknown, value: unknown): Promise<readonly SchemaProblem[]>;
  close(): Promise<void>;
}
