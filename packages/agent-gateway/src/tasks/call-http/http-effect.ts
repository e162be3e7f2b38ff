import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin } from '@strata/shared/http/dialer.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { parseJson } from '@strata/shared/json.ts';
import type { CallContext, Effect } from '../../domain/effect.ts';
import { kindOfStatus, readBounded, retryAfterMsOf } from '../../domain/upstream-refusal.ts';
import { authorizationOf } from '../endpoint.ts';
import type { HttpCall, HttpCallResult } from './http-call.ts';

export interface HttpEffectOptions {
  readonly dialer: Dialer;
  readonly settings: () => HttpEffectSettings;
}

export interface HttpEffectSettings {
  /** Globs over `host` or `host:port` that definitions may call. */
  readonly allowedHosts: readonly string[];
  /** Those of them that may be on private addresses. */
  readonly privateHosts: readonly string[];
  readonly timeoutMs: number;
}

/** Set by the gateway or by one hop; a definition cannot. */
const reservedHeader =
  /^(host|connection|content-length|transfer-encoding|keep-alive|upgrade|te|trailer|expect|proxy-.*|x-strata-.*|traceparent|tracestate|idempotency-key)$/i;

/** Requests of `call: http`. The dialer is what refuses addresses (S-3); here is decided which hosts the operator opened. */
export function createHttpEffect({ dialer, settings }: HttpEffectOptions): Effect {
  return {
    type: 'http',
    async perform(request, context) {
      const call = request as HttpCall; // planned by `call: http`
      const { allowedHosts, privateHosts, timeoutMs } = settings();
      const url = readUrl(call);
      const hosts = [url.host, url.hostname];
      const isAmong = (patterns: readonly string[]) => hosts.some(host => matchesScope(patterns, host));
      if (!isAmong(allowedHosts)) {
        throw new GatewayError('permission_denied', `Workflows may not call '${url.host}' here.`, {
          reason: 'http_host_not_allowed',
        });
      }
      const origin: Origin = {
        name: url.host,
        url: new URL(url.origin),
        allowPrivate: isAmong(privateHosts),
      };
      const response = await dialer.request(origin, {
        method: call.method,
        path: url.pathname + url.search,
        ...encode(call, context),
        signal: context.signal,
        timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs },
      });
      return { result: await readAnswer(response, call, context) };
    },
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

function encode(call: HttpCall, context: CallContext) {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(call.headers)) {
    if (!reservedHeader.test(name)) headers[name.toLowerCase()] = value;
  }
  if (call.credentials !== undefined) headers.authorization = authorizationOf(call.credentials);
  headers.traceparent = context.traceparent;
  headers['idempotency-key'] = context.idempotencyKey;
  if (call.body === undefined || call.body === null) return { headers, body: null };
  const isText = typeof call.body === 'string';
  headers['content-type'] ??= isText ? 'text/plain; charset=utf-8' : 'application/json';
  return { headers, body: isText ? (call.body as string) : JSON.stringify(call.body) };
}

async function readAnswer(
  response: DialResponse,
  call: HttpCall,
  context: CallContext,
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
  const bytes = await readBounded(response.body, context.maxResultBytes);
  const isRedirect = status >= 300 && status < 400;
  return {
    status,
    isProblem: status >= 400 || (isRedirect && !call.acceptsRedirect),
    headers: flatten(response.headers),
    content: call.wantsRaw
      ? bytes.toString('base64')
      : decode(bytes, flatten(response.headers)['content-type'] ?? ''),
  };
}

function decode(bytes: Buffer, type: string): unknown {
  if (bytes.length === 0) return null;
  if (/^application\/([\w.-]+\+)?json\b/i.test(type)) return parseJson(bytes);
  if (/^text\/|^application\/(xml|javascript|yaml|x-yaml|x-www-form-urlencoded)\b/i.test(type))
    return bytes.toString('utf8');
  return bytes.toString('base64');
}

function flatten(headers: DialResponse['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
}
