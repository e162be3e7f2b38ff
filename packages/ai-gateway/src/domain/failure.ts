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
  'caller-fault': {
    retrySame: false,
    repeatAtOnce: false,
    tryNext: false,
    tryOtherCredential: false,
    countsAgainstTarget: false,
    showUpstreamError: true,
  },
} as const satisfies Record<FailureClass, FailureRow>;

/** Codes say more than a status: `insufficient_quota` comes as a 429, a wrong model name as a 404. */
const classByCode: Readonly<Record<string, FailureClass>> = {
  insufficient_quota: 'quota',
  billing_hard_limit_reached: 'quota',
  billing_not_active: 'quota',
  billing_error: 'quota',
  quota_exceeded: 'quota',
  context_length_exceeded: 'context-too-long',
  exceed_context_size_error: 'context-too-long',
  request_too_large: 'context-too-long',
  content_policy_violation: 'content-policy',
  content_filter: 'content-policy',
  moderation_blocked: 'content-policy',
  invalid_prompt: 'content-policy',
  responsibleaipolicyviolation: 'content-policy',
  prohibited_content: 'content-policy',
  model_not_found: 'model-gone',
  deploymentnotfound: 'model-gone',
  model_decommissioned: 'model-gone',
  not_found_error: 'model-gone',
  invalid_api_key: 'credential',
  account_deactivated: 'credential',
  authentication_error: 'credential',
  permission_error: 'credential',
  rate_limit_exceeded: 'rate-limited',
  rate_limit_error: 'rate-limited',
  overloaded_error: 'transient',
  server_is_overloaded: 'transient',
  slow_down: 'transient',
  server_error: 'transient',
  api_error: 'transient',
  timeout_error: 'transient',
  internal_error: 'transient',
  // google.rpc.Code, and reasons in its details
  resource_exhausted: 'rate-limited',
  unauthenticated: 'credential',
  permission_denied: 'credential',
  api_key_invalid: 'credential',
  api_key_service_blocked: 'credential',
  billing_disabled: 'quota',
  quota_per_day: 'quota', // read from the id of the quota
  failed_precondition: 'credential', // no billing, or not from where the account is used
  cancelled: 'transient',
  aborted: 'transient',
  unknown: 'transient',
  unavailable: 'transient',
  internal: 'transient',
  deadline_exceeded: 'transient',
  // Bedrock's exceptions
  throttlingexception: 'rate-limited',
  servicequotaexceededexception: 'quota',
  accessdeniedexception: 'credential',
  unrecognizedclientexception: 'credential',
  expiredtokenexception: 'credential',
  expiredtoken: 'credential',
  invalidclienttokenid: 'credential',
  signaturedoesnotmatch: 'credential',
  invalidsignatureexception: 'credential',
  incompletesignatureexception: 'credential',
  missingauthenticationtokenexception: 'credential',
  resourcenotfoundexception: 'model-gone',
  modelnotreadyexception: 'transient',
  modeltimeoutexception: 'transient',
  modelerrorexception: 'transient',
  modelstreamerrorexception: 'transient',
  internalserverexception: 'transient',
  serviceunavailableexception: 'transient',
};

const classByStatus: Readonly<Record<number, FailureClass>> = {
  401: 'credential',
  402: 'quota',
  403: 'credential',
  404: 'model-gone',
  408: 'transient',
  409: 'transient',
  410: 'model-gone',
  413: 'context-too-long',
  421: 'transient',
  424: 'transient',
  425: 'transient',
  429: 'rate-limited',
  498: 'credential',
  499: 'transient',
};

/** Said inside a 200, where no status tells it. */
const faultCodes = /^(invalid|unsupported|image|empty_image|failed_to_download_image)_|^validationexception$/;

/** Some write the status as the code. */
const statusCode = /^[45]\d\d$/;

/**
 * Reads the status and machine-readable codes, never a message. `codes` go from the most specific to the most general. A
 * status of 200 means that the error came inside an answer or a stream.
 */
export function classify(status: number, codes: readonly string[]): FailureClass {
  for (const code of codes) {
    const lower = code.toLowerCase();
    const known = Object.hasOwn(classByCode, lower) ? classByCode[lower] : undefined;
    if (known !== undefined) return known;
  }
  if (status !== 200) return classOfStatus(status);
  const told = codes.find(code => statusCode.test(code));
  if (told !== undefined) return classOfStatus(Number(told));
  return codes.some(code => faultCodes.test(code.toLowerCase())) ? 'caller-fault' : 'transient';
}

function classOfStatus(status: number): FailureClass {
  return classByStatus[status] ?? (status >= 400 && status < 500 ? 'caller-fault' : 'transient');
}

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
