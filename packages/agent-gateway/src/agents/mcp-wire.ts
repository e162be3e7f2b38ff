import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin } from '@strata/shared/http/dialer.ts';
import { SseReader } from '@strata/shared/http/sse.ts';
import { envelopeHeader } from '@strata/shared/identity/envelope.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import * as z from 'zod';
import { isBudgetReason, kindOfStatus, readBounded, retryAfterMsOf } from '../domain/upstream-refusal.ts';

/** One JSON-RPC message on its way to mcp-gateway. */
export interface McpPost {
  readonly message: Readonly<Record<string, unknown>>;
  /** The virtual server; the whole gateway when undefined. */
  readonly namespace: string | undefined;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly envelope: string;
  readonly traceparent: string;
  readonly signal: AbortSignal;
  readonly maxBytes: number;
}

export interface McpAnswer {
  readonly result: unknown;
  readonly sessionId: string | undefined;
}

export interface McpWireOptions {
  readonly dialer: Dialer;
  readonly settings: () => { readonly origin: Origin; readonly timeoutMs: number };
}

const responseSchema = z.object({
  id: z.union([z.number(), z.string()]),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }).optional(),
});

const maxResumes = 3;

/** Streamable HTTP (2025-11-25, "Transports"), the part that a caller without capabilities of its own needs. */
export function createMcpWire({ dialer, settings }: McpWireOptions) {
  const send = (
    method: 'POST' | 'GET' | 'DELETE',
    post: Omit<McpPost, 'message' | 'maxBytes'>,
    body: string | null,
  ): Promise<DialResponse> => {
    const { origin, timeoutMs } = settings();
    return dialer.request(origin, {
      method,
      path: post.namespace === undefined ? '' : `/${post.namespace}`,
      headers: {
        accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
        ...(body !== null && { 'content-type': 'application/json' }),
        [envelopeHeader]: post.envelope,
        traceparent: post.traceparent,
        ...post.headers,
      },
      body,
      signal: post.signal,
      timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs },
    });
  };

  /** Reads the stream of one request until its answer; goes on where it broke off. */
  async function readStream(first: DialResponse, id: number, post: McpPost): Promise<unknown> {
    let response = first;
    for (let attempt = 0; ; attempt++) {
      const reader = new SseReader({ maxLineBytes: post.maxBytes, maxEventBytes: post.maxBytes });
      try {
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          for (const event of reader.push(chunk)) {
            const answer = event.data === '' ? undefined : readResponse(Buffer.from(event.data), id);
            if (answer !== undefined) return unwrap(answer);
          }
        }
      } catch (error) {
        const isCut = error instanceof GatewayError && error.reason === 'upstream_reset';
        if (!isCut || reader.lastEventId === '' || attempt >= maxResumes) throw error;
      } finally {
        response.body.destroy();
      }
      if (reader.lastEventId === '' || attempt >= maxResumes) throw streamEnded();
      const headers = { ...post.headers, 'last-event-id': reader.lastEventId };
      response = await send('GET', { ...post, headers }, null);
      if (response.status !== 200) throw await refusalOf(response);
    }
  }

  return {
    /** @throws GatewayError not_found (`mcp_session_lost`) when the gateway does not know the session any more. */
    async request(id: number, post: McpPost): Promise<McpAnswer> {
      const response = await send('POST', post, JSON.stringify({ jsonrpc: '2.0', id, ...post.message }));
      const sessionId = headerOf(response, 'mcp-session-id');
      if (response.status !== 200)
        throw await refusalOf(response, post.headers['mcp-session-id'] !== undefined);
      if ((headerOf(response, 'content-type') ?? '').startsWith('text/event-stream'))
        return { result: await readStream(response, id, post), sessionId };
      const answer = readResponse(await readBounded(response.body, post.maxBytes), id);
      if (answer === undefined) throw streamEnded();
      return { result: unwrap(answer), sessionId };
    },
    async notify(post: McpPost): Promise<void> {
      const response = await send('POST', post, JSON.stringify({ jsonrpc: '2.0', ...post.message }));
      response.body.destroy();
      if (response.status >= 400) throw await refusalOf(response);
    },
    async endSession(post: Omit<McpPost, 'message' | 'maxBytes'>): Promise<void> {
      const response = await send('DELETE', post, null);
      response.body.destroy();
    },
  };
}

export type McpWire = ReturnType<typeof createMcpWire>;

type McpResponse = z.output<typeof responseSchema>;

/** The answer to `id`; anything else the server says on the way is not for a caller without capabilities. */
function readResponse(bytes: Buffer, id: number): McpResponse | undefined {
  const parsed = responseSchema.safeParse(parseOrNothing(bytes));
  return parsed.success && parsed.data.id === id ? parsed.data : undefined;
}

function parseOrNothing(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch {
    return undefined; // what is no JSON is no answer
  }
}

const refusalSchema = z.looseObject({ reason: z.string() });

function unwrap({ result, error }: McpResponse): unknown {
  if (error === undefined) return result;
  const refusal = refusalSchema.safeParse(error.data).data;
  if (refusal !== undefined && isBudgetReason(refusal.reason))
    throw new GatewayError('budget_exceeded', error.message, { reason: refusal.reason, details: refusal });
  const isCallersFault = error.code <= -32600 && error.code >= -32602;
  throw new GatewayError(isCallersFault ? 'invalid_request' : 'upstream_failed', error.message, {
    reason: 'mcp_error',
    details: { code: error.code },
  });
}

async function refusalOf(response: DialResponse, hadSession = false): Promise<GatewayError> {
  const { status } = response;
  if (status === 404 && hadSession) {
    response.body.destroy();
    return new GatewayError('not_found', 'The gateway has forgotten the session.', {
      reason: 'mcp_session_lost',
    });
  }
  const text = await readBounded(response.body, 64 * 1024).catch(() => Buffer.alloc(0));
  const retryAfterMs = retryAfterMsOf(response.headers['retry-after']);
  return new GatewayError(
    kindOfStatus(status),
    `mcp-gateway refused the call (${status})${messageIn(text)}.`,
    {
      reason: 'mcp_call_refused',
      details: { upstream_status: status },
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  );
}

const errorBodySchema = z.object({ error: z.object({ message: z.string() }) });

function messageIn(body: Buffer): string {
  try {
    return `: ${errorBodySchema.parse(JSON.parse(body.toString('utf8'))).error.message.replace(/\.$/, '')}`;
  } catch {
    return ''; // a refusal that is not JSON still has its status
  }
}

function streamEnded(): GatewayError {
  return new GatewayError('upstream_failed', 'mcp-gateway ended its answer before it was complete.', {
    reason: 'mcp_answer_missing',
  });
}

function headerOf(response: DialResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
