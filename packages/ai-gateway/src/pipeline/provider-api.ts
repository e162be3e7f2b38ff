import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse } from '@strata/shared/http/dialer.ts';
import { classify } from '../domain/classify.ts';
import type { StreamedBody } from '../domain/form.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Credential, ModelProvider } from '../domain/provider.ts';
import { refusalError } from '../domain/refusal-error.ts';
import { readRetryAfter } from '../domain/retry-after.ts';
import { readErrorCodes } from '../protocols/openai-chat/errors.ts';
import { parseObject, readErrorMessage } from '../protocols/read-json.ts';
import { type Proof, prove } from './prove.ts';
import { sentBody } from './sent-body.ts';

/** A request to a provider's own API about something that lies there: one account, one try. */
export interface ProviderRequest {
  readonly provider: ModelProvider;
  /** Id of the credential whose account it is. */
  readonly credential: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below the provider's address. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | StreamedBody;
  readonly signal: AbortSignal;
}

/**
 * Asks a provider's own API.
 *
 * @throws GatewayError not_found (`provider_object_gone`) where the provider does not know it, else as attempts do.
 */
export interface ProviderApi {
  json(request: ProviderRequest): Promise<JsonObject>;
  /** The body must be read or destroyed. */
  open(request: ProviderRequest): Promise<DialResponse>;
}

const maxAnswerBytes = 4 * 1024 * 1024;
const maxErrorBytes = 1024 * 1024;
const maxRetryAfterMs = 60_000;

export function createProviderApi(deps: { dialer: Dialer; clock: Clock }): ProviderApi {
  async function ask(request: ProviderRequest): Promise<{ response: DialResponse; proof: Proof }> {
    const { provider, method, path, signal, body = Buffer.alloc(0) } = request;
    const { origin } = provider;
    const headers = {
      ...provider.headers,
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...request.headers,
      'accept-encoding': 'identity',
    };
    const signed = Buffer.isBuffer(body) ? body : Buffer.alloc(0); // no API that takes files is signed for
    const asked = { method, origin, path, headers, body: signed, signal } as const;
    const proof = await prove(credentialOf(request), asked);
    const response = await deps.dialer.request(origin, {
      method,
      path,
      headers: { ...headers, ...proof.headers },
      ...(method === 'POST' ? sentBody(body) : { body: null }),
      signal,
    });
    if (response.status >= 200 && response.status <= 299) return { response, proof };
    throw await refusal(response, { proof, provider: provider.name, clock: deps.clock });
  }

  return {
    open: async request => (await ask(request)).response,
    async json(request) {
      const { response, proof } = await ask({
        ...request,
        headers: { accept: 'application/json', ...request.headers },
      });
      const told = await response.readAll(maxAnswerBytes);
      const answer = parseObject(proof.withheldInAnswers.inJson(told));
      if (answer !== undefined) return answer;
      throw new GatewayError(
        'upstream_failed',
        `The answer of the provider '${request.provider.name}' is not one of its protocol.`,
        { reason: 'upstream_answer_malformed' },
      );
    },
  };
}

function credentialOf({ provider, credential }: ProviderRequest): Credential {
  const found = provider.credentials.find(each => each.id === credential);
  if (found !== undefined) return found;
  throw new GatewayError('upstream_failed', `The account at '${provider.name}' is not configured any more.`, {
    reason: 'upstream_credential_unavailable',
  });
}

async function refusal(
  response: DialResponse,
  { proof, provider, clock }: { proof: Proof; provider: string; clock: Clock },
): Promise<GatewayError> {
  const { status, headers } = response;
  const body = await response.readAll(maxErrorBytes);
  if (status === 404) {
    return new GatewayError('not_found', `The provider '${provider}' does not have it any more.`, {
      reason: 'provider_object_gone',
    });
  }
  const retryAfterMs = readRetryAfter(headers, { nowMs: clock.now(), capMs: maxRetryAfterMs });
  const said = readErrorMessage(proof.withheld.inBytes(body));
  return refusalError(classify(status, readErrorCodes(parseObject(body) ?? {})), {
    provider,
    status,
    retryAfterMs,
    said,
  });
}

/** The head of an answer that may pass on to a client. */
export function contentHeaders({ headers }: DialResponse): Record<string, string> {
  const kept = ['content-type', 'content-length', 'content-disposition'] as const;
  return Object.fromEntries(
    kept.flatMap(name => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value] as const] : [];
    }),
  );
}
