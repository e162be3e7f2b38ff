/** What an expression sees. */
export interface ExpressionScope {
  /** The value of `.` */
  readonly data: unknown;
  /** The values of `$context`, `$input` and so on. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** The arguments of runtime expressions (specification 1.0, "Runtime expression arguments"). */
export const variableNames = [
  'context',
  'input',
  'output',
  'task',
  'workflow',
  'runtime',
  'secrets',
  'authorization',
] as const;

/** The expression language of definitions. */
export interface Expressions {
  /** What is wrong with the expression, or undefined. Nothing is evaluated. `locals`: names in scope beside the standard ones. */
  check(source: string, locals?: readonly string[]): Promise<string | undefined>;
  /**
   * No result is `null`, several are an array.
   *
   * @throws GatewayError invalid_request (`expression_failed`), timeout (`expression_timeout`), too_large
   *   (`expression_too_large`), overloaded (`expression_busy`).
   */
  evaluate(source: string, scope: ExpressionScope): Promise<unknown>;
  close(): Promise<void>;
}
