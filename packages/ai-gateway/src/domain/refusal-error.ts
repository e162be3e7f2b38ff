import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { classify } from './classify.ts';
import type { FailureClass } from './failure.ts';

const maxSaid = 2000;

/** The error a client sees for an upstream's answer that is not shown as it is. */
export function refusalError(
  failureClass: FailureClass,
  options: {
    provider: string;
    status: number;
    retryAfterMs?: number | undefined;
    /** What it said in machine-readable words: they tell one failure that may pass from another where no status does. */
    codes?: readonly string[] | undefined;
    /** The upstream's own words, where the client may read them and cannot get the answer as it is. */
    said?: string | undefined;
  },
): GatewayError {
  const { provider, retryAfterMs, said } = options;
  const words = said === undefined ? '' : ` It says: ${said.slice(0, maxSaid)}`;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  switch (failureClass) {
    case 'rate-limited':
      return new GatewayError('rate_limited', `The provider '${provider}' limits the rate of requests.`, {
        reason: 'upstream_rate_limited',
        ...wait,
      });
    case 'quota':
      return new GatewayError(
        'upstream_failed',
        `The account at the provider '${provider}' has no quota left.`,
        {
          reason: 'upstream_quota_exhausted',
        },
      );
    case 'credential':
      return new GatewayError(
        'upstream_failed',
        `The provider '${provider}' refused the gateway's credential.`,
        {
          reason: 'upstream_credential_refused',
        },
      );
    case 'model-gone':
      return new GatewayError(
        'upstream_failed',
        `The provider '${provider}' does not have the configured model.`,
        {
          reason: 'upstream_model_gone',
        },
      );
    case 'context-too-long':
      return new GatewayError(
        'too_large',
        `The request is too long for the model at '${provider}'.${words}`,
        {
          reason: 'context_too_long',
        },
      );
    case 'content-policy':
      return new GatewayError(
        'invalid_request',
        `The content policy of the provider '${provider}' refused the request.${words}`,
        { reason: 'upstream_content_policy' },
      );
    case 'object-denied': // in words of our own: the provider's may name the account and its roles
      return new GatewayError(
        'permission_denied',
        `The account at the provider '${provider}' may not read what the request names.`,
        { reason: 'upstream_refused_request' },
      );
    case 'caller-fault':
      return new GatewayError('invalid_request', `The provider '${provider}' refused the request.${words}`, {
        reason: 'upstream_refused_request',
      });
    case 'connection-closed': // these two are never said by an answer
    case 'not-asked':
    case 'transient':
      return transientError(options, wait);
  }
}

const overloadCodes = new Set([
  'overloaded_error',
  'server_is_overloaded',
  'slow_down',
  'unavailable',
  'serviceunavailableexception',
  'modelnotreadyexception',
]);

const timeoutCodes = new Set(['timeout_error', 'deadline_exceeded', 'modeltimeoutexception']);

function transientError(
  {
    provider,
    status,
    codes = [],
  }: { provider: string; status: number; codes?: readonly string[] | undefined },
  wait: { retryAfterMs?: number },
): GatewayError {
  const says = (known: ReadonlySet<string>) => codes.some(code => known.has(code.toLowerCase()));
  if (status === 503 || status === 529 || says(overloadCodes)) {
    return new GatewayError('overloaded', `The provider '${provider}' is overloaded.`, {
      reason: 'upstream_overloaded',
      ...wait,
    });
  }
  if (status === 504 || status === 408 || says(timeoutCodes)) {
    return new GatewayError('timeout', `The provider '${provider}' took too long.`, {
      reason: 'upstream_timed_out',
      ...wait,
    });
  }
  if (status === 200) {
    return new GatewayError(
      'upstream_failed',
      `The provider '${provider}' reported an error inside its answer.`,
      {
        reason: 'upstream_stream_error',
      },
    );
  }
  return new GatewayError('upstream_failed', `The provider '${provider}' failed (status ${status}).`, {
    reason: 'upstream_error_answer',
    ...wait,
  });
}

/** The error of a provider that says inside a 200 that it failed. */
export function reportedError(
  provider: string,
  codes: readonly string[],
): { failure: FailureClass; error: GatewayError } {
  const failure = classify(200, codes);
  return { failure, error: refusalError(failure, { provider, status: 200, codes }) };
}
