import { SseReader } from '@strata/shared/http/sse.ts';
import { envelopeHeader } from '@strata/shared/identity/envelope.ts';
import type { TestGateway } from './start-gateway.ts';

/** A client that sends exactly the bytes it is given and keeps exactly the bytes it gets. */
export interface RawClient {
  readonly sessionId: string;
  /** Sends a body; the body may be any text. */
  post(body: string | Buffer, options?: RequestOptions): Promise<Response>;
  /** Sends a request and gives the messages of the answer, whether it came as JSON or as a stream. */
  ask(body: string): Promise<string[]>;
  call(id: string, name: string, args?: Record<string, unknown>): Promise<string[]>;
  get(options?: RequestOptions): Promise<Response>;
  end(): Promise<Response>;
}

export interface RequestOptions {
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export interface RawClientOptions {
  readonly key?: string;
  readonly envelope?: string;
  readonly version?: string;
  readonly capabilities?: object;
  /** Below `/mcp`, for a virtual server. */
  readonly namespace?: string;
}

export function headersFor(gateway: TestGateway, options: RawClientOptions = {}): Record<string, string> {
  return {
    ...(options.envelope === undefined
      ? { authorization: `Bearer ${options.key ?? gateway.userKey}` }
      : { [envelopeHeader]: options.envelope }),
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
}

export function initializeBody(options: RawClientOptions = {}): string {
  return JSON.stringify({
    jsonrpc: '2.0',
    id: 'init',
    method: 'initialize',
    params: {
      protocolVersion: options.version ?? '2025-11-25',
      capabilities: options.capabilities ?? {},
      clientInfo: { name: 'raw', version: '1' },
    },
  });
}

export async function openRawClient(
  gateway: TestGateway,
  options: RawClientOptions = {},
): Promise<RawClient> {
  const url =
    options.namespace === undefined ? gateway.url : new URL(`/mcp/${options.namespace}`, gateway.url);
  const base = headersFor(gateway, options);
  const opened = await fetch(url, { method: 'POST', headers: base, body: initializeBody(options) });
  const sessionId = opened.headers.get('mcp-session-id');
  if (!sessionId) throw new Error(`no session: ${opened.status} ${await opened.text()}`);
  await opened.text();
  const headers = {
    ...base,
    'mcp-session-id': sessionId,
    'mcp-protocol-version': options.version ?? '2025-11-25',
  };
  const post: RawClient['post'] = (body, { headers: extra, signal } = {}) =>
    fetch(url, { method: 'POST', headers: { ...headers, ...extra }, body, ...(signal && { signal }) });
  const client: RawClient = {
    sessionId,
    post,
    ask: async body => messagesOf(await post(body)),
    call: (id, name, args = {}) =>
      client.ask(
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":${JSON.stringify(name)},"arguments":${JSON.stringify(args)}}}`,
      ),
    get: ({ headers: extra, signal } = {}) =>
      fetch(url, {
        headers: { ...headers, accept: 'text/event-stream', ...extra },
        ...(signal && { signal }),
      }),
    end: () => fetch(url, { method: 'DELETE', headers }),
  };
  await (await post('{"jsonrpc":"2.0","method":"notifications/initialized"}')).text();
  return client;
}

/** All messages of an answer, as text. */
export async function messagesOf(response: Response): Promise<string[]> {
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    const body = await response.text();
    return body === '' ? [] : [body];
  }
  const messages: string[] = [];
  for await (const event of eventsOf(response)) if (event.data !== '') messages.push(event.data);
  return messages;
}

export async function* eventsOf(
  response: Response,
): AsyncGenerator<{ readonly id: string | undefined; readonly data: string }> {
  const reader = new SseReader({ maxLineBytes: 64 * 1024 * 1024, maxEventBytes: 64 * 1024 * 1024 });
  for await (const chunk of response.body ?? []) {
    for (const event of reader.push(chunk)) yield { id: event.id, data: event.data };
  }
}

/** The text of the first content block of a tool's result. */
export function resultText(message: string | undefined): string {
  const parsed = JSON.parse(message ?? '{}') as { result?: { content?: { text?: string }[] } };
  return parsed.result?.content?.[0]?.text ?? '';
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: Record<string, unknown>;
}

export function errorOf(message: string | undefined): RpcError | undefined {
  return (JSON.parse(message ?? '{}') as { error?: RpcError }).error;
}

/** Waits until a condition of the outside world holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 5000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
