import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Why an attempt failed, as far as the next step depends on it. */
export type FailureClass =
  | 'transient'
  /** A connection that was kept was closed just as it was used: nothing is known of the target. */
  | 'connection-closed'
  /** It was not asked: more is under way than it can take, or it failed too often. Another credential of it may be free. */
  | 'not-asked'
  | 'rate-limited'
  | 'quota'
  | 'credential'
  | 'model-gone'
  | 'context-too-long'
  | 'content-policy'
  /** The account may not read what the request names: a file of another account, or one that is not there. */
  | 'object-denied'
  | 'caller-fault';

interface FailureRow {
  /** Whether the same target may succeed a moment later. */
  readonly retrySame: boolean;
  /** Whether it is to be tried again at once, before any other place. */
  readonly repeatAtOnce: boolean;
  /** Whether another target may succeed with the same request. */
  readonly tryNext: boolean;
  /** Whether another credential of the same target may succeed. */
  readonly tryOtherCredential: boolean;
  /** Whether it speaks against the health of the target. A caller's own mistake never does. */
  readonly countsAgainstTarget: boolean;
  /** Whether the upstream's own error is what the client must see, unchanged. */
  readonly showUpstreamError: boolean;
}

/** The one table that decides what follows a failure. */
export const failureTable = {
  transient: {
    retrySame: true,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: false,
    countsAgainstTarget: true,
    showUpstreamError: false,
  },
  'connection-closed': {
    retrySame: true,
    repeatAtOnce: true,
    tryNext: true,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  'not-asked': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: true,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  'rate-limited': {
    retrySame: true,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: true,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  quota: {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: true,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  credential: {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: true,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  'model-gone': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  'context-too-long': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: true,
  },
  'content-policy': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: true,
  },
  'object-denied': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: true,
    tryOtherCredential: true,
    countsAgainstTarget: false,
    showUpstreamError: false,
  },
  'caller-fault': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: false,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: true,
  },
} as const satisfies Record<FailureClass, FailureRow>;

/** An upstream's error answer, for a client that speaks the same protocol. */
export interface UpstreamRefusal {
  readonly status: number;
  readonly contentType: string;
  /** Those in which clients of the protocol read what the error is. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** One failed attempt. Thrown inside the pipeline only; what leaves it is a GatewayError or the refusal itself. */
export class AttemptFailure extends Error {
  override readonly name = 'AttemptFailure';
  readonly class: FailureClass;
  readonly status: number | undefined;
  readonly error: GatewayError;
  readonly refusal: UpstreamRefusal | undefined;
  /** Whether anything was asked of the target. What was not costs no attempt. */
  readonly wasAsked: boolean;

  constructor(
    failureClass: FailureClass,
    error: GatewayError,
    options: { status?: number; refusal?: UpstreamRefusal; wasAsked?: boolean } = {},
  ) {
    super(error.message, { cause: error });
    this.class = failureClass;
    this.error = error;
    this.status = options.status;
    this.refusal = options.refusal;
    this.wasAsked = options.wasAsked ?? true;
  }

  /** What the dialer or a stream threw: no answer came. Whatever this gateway itself refuses is not tried again. */
  static from(error: unknown): AttemptFailure {
    if (error instanceof AttemptFailure) return error;
    const known = GatewayError.from(error);
    if (known.reason === 'upstream_kept_connection_closed')
      return new AttemptFailure('connection-closed', known);
    switch (known.kind) {
      case 'upstream_failed':
      case 'timeout':
      case 'overloaded':
        return new AttemptFailure('transient', known);
      case 'permission_denied':
        return new AttemptFailure('credential', notAllowed(known));
      default:
        return new AttemptFailure('caller-fault', known);
    }
  }
}

/** What no budget bears at one target may be cheap enough at the next. Any other error stays what it is. */
export function tooDear(error: unknown): unknown {
  const isTooDear = error instanceof GatewayError && error.kind === 'budget_exceeded';
  return isTooDear ? new AttemptFailure('quota', error, { wasAsked: false }) : error;
}

/** An address that the dialer refuses is the operator's mistake, which no client should read as a refusal of its key. */
function notAllowed(cause: GatewayError): GatewayError {
  return new GatewayError('upstream_failed', 'The address of the provider is not one the gateway may call.', {
    reason: 'upstream_not_allowed',
    cause,
  });
}
