interface ErrorKindRow {
  /** HTTP status that every HTTP rendering uses. */
  readonly status: number;
  /** Whether the same request may succeed if it is sent again. */
  readonly retryable: boolean;
  /** Whether a client may see the message; `false` shows a fixed text and the request id only. */
  readonly expose: boolean;
}

/** Every way a gateway can fail. Status, retry and visibility follow from the kind, never from a message. */
export const errorKinds = {
  invalid_request: { status: 400, retryable: false, expose: true },
  unauthenticated: { status: 401, retryable: false, expose: true },
  budget_exceeded: { status: 402, retryable: false, expose: true },
  permission_denied: { status: 403, retryable: false, expose: true },
  not_found: { status: 404, retryable: false, expose: true },
  method_not_allowed: { status: 405, retryable: false, expose: true },
  conflict: { status: 409, retryable: false, expose: true },
  precondition_failed: { status: 412, retryable: false, expose: true },
  too_large: { status: 413, retryable: false, expose: true },
  unsupported_media_type: { status: 415, retryable: false, expose: true },
  precondition_required: { status: 428, retryable: false, expose: true },
  rate_limited: { status: 429, retryable: true, expose: true },
  cancelled: { status: 499, retryable: false, expose: true },
  internal: { status: 500, retryable: false, expose: false },
  not_implemented: { status: 501, retryable: false, expose: true },
  upstream_failed: { status: 502, retryable: true, expose: true },
  overloaded: { status: 503, retryable: true, expose: true },
  timeout: { status: 504, retryable: true, expose: true },
} as const satisfies Record<string, ErrorKindRow>;

export type ErrorKind = keyof typeof errorKinds;

export interface GatewayErrorOptions {
  /** Names the exact case; each has a line in `docs/errors.md`. Defaults to the kind. */
  readonly reason?: string;
  /** The part of the request that is wrong, as a path (`messages[0].content`) or a header name. */
  readonly param?: string;
  /** How long the caller should wait before it tries again. */
  readonly retryAfterMs?: number;
  /** Machine-readable facts for the caller. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The one error that leaves a stage. Protocols render it; nothing reads its message to decide. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(kind: ErrorKind, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.reason = options.reason ?? kind;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }

  get status(): number {
    return errorKinds[this.kind].status;
  }

  get retryable(): boolean {
    return errorKinds[this.kind].retryable;
  }

  /** The text a client may see. */
  get publicMessage(): string {
    return errorKinds[this.kind].expose
      ? this.message
      : 'Internal error. Give the request id to the operator.';
  }

  /** Turns anything thrown into a GatewayError, so that the edge has one shape to render. */
  static from(error: unknown): GatewayError {
    if (error instanceof GatewayError) return error;
    return new GatewayError('internal', 'Internal error', { cause: error });
  }
}
