import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin, PhaseTimeouts } from '@strata/shared/http/dialer.ts';
import {
  nothingWithheld,
  type Withheld,
  withholdCredentials,
} from '@strata/shared/http/withhold-credentials.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import type { CallContext, Effect } from '../../domain/effect.ts';
import { kindOfStatus, readBounded, retryAfterMsOf } from '../../domain/upstream-refusal.ts';
import { asText } from '../as-text.ts';
import { OauthTokens, type TokenFetch } from '../authentication/oauth-tokens.ts';
import type { WorkflowSecrets } from '../authentication/secrets.ts';
import { sendAuthorized } from '../authentication/send-authorized.ts';
import type { HttpCall, HttpCallResult } from './http-call.ts';

export interface HttpEffectOptions {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly settings: () => HttpEffectSettings;
}

export interface HttpEffectSettings {
  /** Globs over `host` or `host:port` that definitions may call. */
  readonly allowedHosts: readonly string[];
  /** Those of them that may be on private addresses. */
  readonly privateHosts: readonly string[];
  readonly timeoutMs: number;
  readonly secrets: WorkflowSecrets;
}

/** Set by the gateway or by one hop; a definition cannot. */
const reservedHeader =
  /^(host|connection|content-length|transfer-encoding|keep-alive|upgrade|te|trailer|expect|proxy-.*|x-strata-.*|traceparent|tracestate|idempotency-key)$/i;

const maxTokenBytes = 256 * 1024;

/** Requests of `call: http`. The dialer is what refuses addresses (S-3); here is decided which hosts the operator opened. */
export function createHttpEffect({ dialer, clock, settings }: HttpEffectOptions): Effect {
  const tokens = new OauthTokens(clock);
  return {
    type: 'http',
    async perform(request, context) {
      const call = request as HttpCall; // planned by `call: http`
      const { timeoutMs, secrets, ...hosts } = settings();
      const url = readUrl(call);
      const timeouts = { headersMs: timeoutMs, bodyMs: timeoutMs };
      const origin = originOf(url, hosts);
      const { method } = call;
      let withheld = nothingWithheld;
      const response = await sendAuthorized(
        call.credentials,
        {
          url,
          method,
          user: { tenant: context.identity.tenant, workflow: context.workflow },
          send(authorization) {
            withheld = withholdCredentials(authorization === undefined ? [] : [authorization]);
            return dialer
              .request(origin, {
                method,
                path: url.pathname + url.search,
                ...encode(call, authorization, context),
                signal: context.signal,
                timeouts,
              })
              .catch((error: unknown) => {
                throw explain(error, url);
              });
          },
        },
        { secrets, tokens, fetch: fetchToken({ dialer, hosts, timeouts, signal: context.signal }) },
      );
      return { result: await readAnswer(response, call, { ...context, withheld }) };
    },
  };
}

/** Where the operator of this gateway opens what the dialer keeps closed. */
function explain(error: unknown, { hostname }: URL): unknown {
  if (!(error instanceof GatewayError) || error.reason !== 'destination_not_allowed') return error;
  return new GatewayError(
    'permission_denied',
    `'${hostname}' is at a private or reserved address. The operator opens such hosts in \`agent_gateway.http_calls.private_hosts\`.`,
    { reason: error.reason, cause: error },
  );
}

type Hosts = Pick<HttpEffectSettings, 'allowedHosts' | 'privateHosts'>;

/** @throws GatewayError permission_denied (`http_host_not_allowed`). */
function originOf(url: URL, { allowedHosts, privateHosts }: Hosts): Origin {
  const isAmong = (patterns: readonly string[]) =>
    [url.host, url.hostname].some(host => matchesScope(patterns, host));
  if (isAmong(allowedHosts))
    return { name: url.host, url: new URL(url.origin), allowPrivate: isAmong(privateHosts) };
  throw new GatewayError('permission_denied', `Workflows may not call '${url.host}' here.`, {
    reason: 'http_host_not_allowed',
  });
}

/** An authority is reached as every other host is. */
function fetchToken(options: {
  readonly dialer: Dialer;
  readonly hosts: Hosts;
  readonly timeouts: Partial<PhaseTimeouts>;
  readonly signal: AbortSignal;
}): TokenFetch {
  const { dialer, hosts, timeouts, signal } = options;
  return async (url, { method, headers, body }) => {
    const answer = await dialer.request(originOf(url, hosts), {
      method,
      path: url.pathname + url.search,
      headers,
      body: body === undefined || body === null ? null : String(body),
      signal,
      timeouts,
    });
    const type = answer.headers['content-type'];
    return new Response(new Uint8Array(await answer.readAll(maxTokenBytes)), {
      status: answer.status,
      headers: { ...(typeof type === 'string' && { 'content-type': type }) },
    });
  };
}

function readUrl(call: HttpCall): URL {
  const url = URL.parse(call.uri);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new GatewayError('invalid_request', `'${call.uri.slice(0, 200)}' is not an http(s) address.`, {
      reason: 'http_call_address_invalid',
    });
  }
  for (const [name, value] of Object.entries(call.query)) url.searchParams.set(name, value);
  url.hash = '';
  return url;
}

function encode(call: HttpCall, authorization: string | undefined, context: CallContext) {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(call.headers)) {
    if (!reservedHeader.test(name)) headers[name.toLowerCase()] = value;
  }
  if (authorization !== undefined) headers.authorization = authorization;
  headers.traceparent = context.traceparent;
  headers['idempotency-key'] = context.idempotencyKey;
  if (call.body === undefined || call.body === null) return { headers, body: null };
  const isText = typeof call.body === 'string';
  headers['content-type'] ??= isText ? 'text/plain; charset=utf-8' : 'application/json';
  return { headers, body: encodeBody(call.body, headers['content-type']) };
}

/** Texts and bytes as they are; data as the type says that it is: the members of a form, and JSON for every other. */
function encodeBody(body: unknown, type: string): string | Uint8Array {
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(type);
  if (!isForm || typeof body !== 'object' || body === null || Array.isArray(body))
    return JSON.stringify(body);
  const fields = Object.entries(body).flatMap(([name, value]: [string, unknown]) =>
    (Array.isArray(value) ? value : [value]).map((each: unknown): [string, string] => [name, asText(each)]),
  );
  return new URLSearchParams(fields).toString();
}

async function readAnswer(
  response: DialResponse,
  call: HttpCall,
  context: Pick<CallContext, 'annotate' | 'maxResultBytes'> & { readonly withheld: Withheld },
): Promise<HttpCallResult> {
  const { status } = response;
  context.annotate({ 'http.response.status_code': status });
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    response.body.destroy();
    const retryAfterMs = retryAfterMsOf(response.headers['retry-after']);
    throw new GatewayError(
      kindOfStatus(status),
      `${call.method} ${call.uri.split('?', 1)[0]} answered ${status}.`,
      {
        reason: 'http_call_failed',
        details: { upstream_status: status },
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      },
    );
  }
  const { withheld } = context;
  const bytes = withheld.inBytes(await readBounded(response.body, context.maxResultBytes));
  const headers = flatten(response.headers, withheld);
  const isRedirect = status >= 300 && status < 400;
  return {
    status,
    isProblem: status >= 400 || (isRedirect && !call.acceptsRedirect),
    headers,
    content: call.wantsRaw ? bytes.toString('base64') : decode(bytes, headers['content-type'] ?? ''),
  };
}

function decode(bytes: Buffer, type: string): unknown {
  if (bytes.length === 0) return null;
  if (/^application\/([\w.-]+\+)?json\b/i.test(type)) return parseJson(bytes);
  if (/^text\/|^application\/(xml|javascript|yaml|x-yaml|x-www-form-urlencoded)\b/i.test(type))
    return bytes.toString('utf8');
  return bytes.toString('base64');
}

function flatten(headers: DialResponse['headers'], { inText }: Withheld): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      inText(Array.isArray(value) ? value.join(', ') : value),
    ]),
  );
}
