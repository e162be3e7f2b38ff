import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope, noScopes } from '@strata/shared/identity/scopes.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import * as z from 'zod';
import type { CallContext, Effect } from '../domain/effect.ts';
import { createMcpWire, type McpPost, type McpWireOptions } from './mcp-wire.ts';
import { checkAnswer } from './read-answer-json.ts';
import { type McpCall, type ToolInfo, type ToolList, toolSchema } from './tools.ts';

const protocolVersion = '2025-11-25';
/** In `params._meta`: servers that know it do the work once, however often they are asked. */
export const idempotencyMeta = 'strata/idempotency-key';
const maxPages = 100;
const goodbyeMs = 2000;

interface Session {
  readonly id: string | undefined;
  readonly version: string;
}

interface OpenSession {
  readonly runId: string;
  readonly namespace: string | undefined;
  readonly ready: Promise<Session>;
  /** Kept for the goodbye. */
  readonly context: CallContext;
}

const malformed = { reason: 'mcp_answer_malformed' };
/** It goes into a header of every request. */
const helloSchema = z.object({ protocolVersion: z.string().regex(/^[\x21-\x7e]{1,64}$/) });
const pageSchema = z.looseObject({
  tools: z.array(z.unknown()).default([]),
  nextCursor: z.string().nullish(),
});

/** Requests to tool servers by way of mcp-gateway: one session for each run and virtual server, opened at its first request. */
export function createMcpEffect(options: McpWireOptions): Effect {
  const wire = createMcpWire(options);
  const sessions = new Map<string, OpenSession>();
  let lastId = 0;

  const postOf = async (
    context: CallContext,
    session: Session | undefined,
    { namespace, call }: { namespace: string | undefined; call?: McpCall },
  ) => ({
    namespace,
    headers: {
      'mcp-session-id': session?.id,
      'mcp-protocol-version': session?.version,
      'idempotency-key': context.idempotencyKey,
    },
    envelope: await context.envelope('mcp-gateway', narrowingOf(call)),
    traceparent: context.traceparent,
    signal: context.signal,
    maxBytes: context.maxResultBytes,
  });

  async function open(context: CallContext, namespace: string | undefined): Promise<Session> {
    const base = await postOf(context, undefined, { namespace });
    const hello = {
      method: 'initialize',
      params: {
        protocolVersion,
        capabilities: {},
        clientInfo: { name: 'strata-agent-gateway', version: '0.1.0' },
      },
    };
    const { result, sessionId } = await wire.request(++lastId, { ...base, message: hello });
    const { protocolVersion: version } = checkAnswer(result, helloSchema, {
      ...malformed,
      message: 'mcp-gateway opened a session without a protocol version.',
    });
    const session = { id: sessionId, version };
    const post = await postOf(context, session, { namespace });
    await wire.notify({ ...post, message: { method: 'notifications/initialized' } });
    return session;
  }

  function sessionOf(context: CallContext, namespace: string | undefined): Promise<Session> {
    const { runId } = context;
    const key = JSON.stringify([runId, namespace]);
    const known = sessions.get(key);
    if (known !== undefined) return known.ready;
    const ready = open(context, namespace);
    const entry = { runId, namespace, ready, context };
    sessions.set(key, entry);
    ready.catch(() => forget(entry));
    return ready;
  }

  function forget(entry: OpenSession): void {
    const key = JSON.stringify([entry.runId, entry.namespace]);
    if (sessions.get(key) === entry) sessions.delete(key);
  }

  async function ask(call: McpCall, context: CallContext, isSecondTry = false): Promise<unknown> {
    const { namespace } = call;
    const session = await sessionOf(context, namespace);
    const id = ++lastId;
    const params = { ...call.params, _meta: metaOf(call, context) };
    const post: McpPost = {
      ...(await postOf(context, session, { namespace, call })),
      message: { method: call.method, params },
    };
    try {
      const { result } = await wire.request(id, post);
      return result;
    } catch (error) {
      const isLost = error instanceof GatewayError && error.reason === 'mcp_session_lost';
      if (!isLost || isSecondTry) throw await cancelled(error, { id, session, context, namespace });
      sessions.delete(JSON.stringify([context.runId, namespace])); // the gateway did not take the request: asking again repeats nothing
      return ask(call, context, true);
    }
  }

  /** A call that nobody waits for any more is called off, so that the tool can stop. */
  async function cancelled(
    error: unknown,
    {
      id,
      session,
      context,
      namespace,
    }: { id: number; session: Session; context: CallContext; namespace: string | undefined },
  ): Promise<unknown> {
    if (!context.signal.aborted) return error;
    const signal = AbortSignal.timeout(goodbyeMs);
    const post = await postOf({ ...context, signal }, session, { namespace });
    const message = { method: 'notifications/cancelled', params: { requestId: id } };
    await wire.notify({ ...post, message }).catch(() => {}); // the gateway's own limit ends the call too
    return error;
  }

  async function wholeList(call: McpCall, only: readonly string[], context: CallContext): Promise<ToolList> {
    const tools: ToolInfo[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < maxPages; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const result = checkAnswer(await ask({ ...call, params }, context), pageSchema, {
        ...malformed,
        message: 'mcp-gateway answered with a list that is none.',
      });
      for (const each of result.tools) {
        const tool = toolSchema.safeParse(each);
        if (tool.success && matchesScope(only, tool.data.name)) tools.push(tool.data);
      }
      cursor = result.nextCursor ?? undefined;
      if (cursor === undefined) break;
    }
    return { tools };
  }

  async function leave(entry: OpenSession): Promise<void> {
    forget(entry);
    const { ready, context, namespace } = entry;
    try {
      const session = await ready;
      if (session.id === undefined) return;
      const signal = AbortSignal.timeout(goodbyeMs);
      await wire.endSession(await postOf({ ...context, signal }, session, { namespace }));
    } catch {
      // the gateway ends sessions that nobody uses by itself
    }
  }

  return {
    type: 'mcp',
    async perform(request, context) {
      const call = request as McpCall; // planned by `call: mcp` or `call: agent`
      context.annotate({
        [attributes.mcpMethod]: call.method,
        ...(typeof call.params.name === 'string' && { [attributes.toolName]: call.params.name }),
      });
      const { wholeList: list } = call;
      return { result: list ? await wholeList(call, list.only, context) : await ask(call, context) };
    },
    async release(runId) {
      await Promise.all([...sessions.values()].filter(each => each.runId === runId).map(leave));
    },
    async close() {
      await Promise.all([...sessions.values()].map(leave));
    },
  };
}

function metaOf(call: McpCall, context: CallContext): Record<string, unknown> {
  const { _meta } = call.params;
  const given = typeof _meta === 'object' && _meta !== null ? _meta : {};
  return { ...given, [idempotencyMeta]: context.idempotencyKey };
}

/** A call to a tool carries the right to that tool and no other. */
function narrowingOf(call: McpCall | undefined) {
  const tool = call?.method === 'tools/call' ? call.params.name : undefined;
  return {
    ...(call?.actor !== undefined && { actor: `agent:${call.actor}` }),
    scopes: { ...noScopes, servers: ['*'], tools: typeof tool === 'string' ? [tool] : ['*'] },
  };
}
