import { type ErrorKind, GatewayError } from '@strata/shared/errors/gateway-error.ts';
import * as z from 'zod';

/** What went wrong, in the shape of the DSL's errors (RFC 7807 members) plus the reason of this gateway. */
export interface RunError {
  /** `https://serverlessworkflow.io/spec/1.0.0/errors/…` */
  readonly type: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** JSON pointer of the task. */
  readonly instance: string;
  readonly reason: string;
  /** When a budget refused: which one, and what it lacks. */
  readonly budget?: BudgetShortage;
}

/** A task that was to be undone, which failed: what it did is still there. */
export interface NotUndone {
  readonly path: string;
  readonly error: RunError;
}

/** What a budget has too little of, in nano-USD as text. */
export interface BudgetShortage {
  /** Whose budget: `team:support`, `run:run_…`. */
  readonly subject: string;
  readonly needed_nano_usd: string;
  readonly available_nano_usd: string;
  /** When it begins anew by itself. */
  readonly resets_at?: string | undefined;
}

const prefix = 'https://serverlessworkflow.io/spec/1.0.0/errors/';

/** The error types of the DSL (specification 1.0, "Standard Error Types"). */
const dslTypes = {
  configuration: 'Configuration error',
  validation: 'Validation error',
  expression: 'Expression error',
  authentication: 'Authentication error',
  authorization: 'Authorization error',
  timeout: 'Timeout error',
  communication: 'Communication error',
  runtime: 'Runtime error',
} as const;

export type DslErrorType = keyof typeof dslTypes;

export function runError(
  type: DslErrorType,
  options: { status: number; detail: string; instance: string; reason: string },
): RunError {
  return { type: prefix + type, title: dslTypes[type], ...options };
}

const typeOfKind: Partial<Record<ErrorKind, DslErrorType>> = {
  invalid_request: 'validation',
  unauthenticated: 'authentication',
  permission_denied: 'authorization',
  timeout: 'timeout',
  upstream_failed: 'communication',
  overloaded: 'communication',
  rate_limited: 'communication',
};

/** Where the specification names the type: "Runtime Expressions", "MCP Call" (what the server answers with an error). */
const typeOfReason: ReadonlyMap<string, DslErrorType> = new Map([
  ['expression_failed', 'expression'],
  ['expression_timeout', 'expression'],
  ['expression_too_large', 'expression'],
  ['mcp_error', 'runtime'],
]);

/** The error of a task whose work threw. Internal messages stay inside. */
export function toRunError(error: unknown, instance: string): RunError {
  const known = GatewayError.from(error);
  const { details } = known;
  const status = typeof details?.upstream_status === 'number' ? details.upstream_status : known.status;
  const budget = shortageIn(details);
  return {
    ...runError(typeOfReason.get(known.reason) ?? typeOfKind[known.kind] ?? 'runtime', {
      status,
      detail: known.publicMessage,
      instance: typeof details?.instance === 'string' ? details.instance : instance,
      reason: known.reason,
    }),
    ...(budget !== undefined && { budget }),
  };
}

const amount = z.string().regex(/^\d{1,30}$/);
const shortageSchema = z.object({
  budget_subject: z.string().max(500),
  needed_nano_usd: amount,
  available_nano_usd: amount,
  resets_at: z.iso.datetime().optional(),
});

/** As every gateway tells it (`details` of `budget_exceeded`). */
export function shortageIn(details: unknown): BudgetShortage | undefined {
  const { data } = shortageSchema.safeParse(details);
  if (data === undefined) return undefined;
  const { budget_subject: subject, ...rest } = data;
  return { subject, ...rest };
}
