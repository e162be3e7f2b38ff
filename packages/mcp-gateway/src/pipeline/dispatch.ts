import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import type { CatalogEntry, ListKind } from '../domain/catalog.ts';
import type { RequestFrame } from '../domain/frame.ts';
import type { Upstream } from '../domain/upstream.ts';
import { withinTime } from '../domain/with-signal.ts';
import { textParam } from '../wire/frame.ts';
import { annotationsOf, type ListedItem } from '../wire/list-items.ts';
import { findHeaderMismatch, headersOfArguments } from '../wire/modern/param-headers.ts';
import { renderResult } from '../wire/render.ts';
import { onOneLine } from '../wire/splice.ts';
import type { CallContext } from './call-context.ts';
import { invalidParams, unknownName, unknownResource } from './dispatch-errors.ts';
import { limitCall } from './limit-time.ts';
import { isLogLevel } from './log-levels.ts';
import { allowedUpstream, noHeaders, passOn, send } from './pass-on.ts';
import { renderListPage } from './render-list.ts';
import { type DispatchDeps, type Handler, type Request, type Target, unknownMethod } from './request.ts';
import { taskHandlers } from './task-calls.ts';

/** Answers a request: the whole answer, under the id the client wrote. @throws GatewayError, or the reason of the call's signal */
export type Dispatch = (request: Request) => Promise<Buffer>;

const handlers: Readonly<Record<string, Handler>> = {
  ping: async request => renderResult(request.call.rawId, '{}'),
  'tools/list': listHandler('tools'),
  'prompts/list': listHandler('prompts'),
  'resources/list': listHandler('resources'),
  'resources/templates/list': listHandler('templates'),
  'tools/call': nameHandler('tools'),
  'prompts/get': nameHandler('prompts'),
  'resources/read': readResource,
  'resources/subscribe': subscribe,
  'resources/unsubscribe': unsubscribe,
  'completion/complete': complete,
  'logging/setLevel': setLevel,
  ...taskHandlers(passOn),
};

/** Methods that only mean something in a session. */
const sessionMethods: ReadonlySet<string> = new Set([
  'ping',
  'resources/subscribe',
  'resources/unsubscribe',
  'logging/setLevel',
  'tasks/list',
  'tasks/result',
]);

/** Methods that only mean something without one. */
const modernMethods: ReadonlySet<string> = new Set(['tasks/update']);

export function createDispatch(deps: DispatchDeps): Dispatch {
  return request => {
    const { client, frame } = request;
    const { method } = frame;
    const foreign = client.era === 'modern' ? sessionMethods : modernMethods;
    const isKnown = Object.hasOwn(handlers, method) && !foreign.has(method);
    const handler = isKnown ? handlers[method] : undefined;
    if (handler === undefined) return Promise.reject(unknownMethod(method));
    try {
      return handler(request, deps);
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

function listHandler(kind: ListKind): Handler {
  return async ({ client, caller, call, frame }, { settings, clock, cursors }) => {
    const { listPageSize, listTimeoutMs } = settings();
    const view = await withinTime(clock, listTimeoutMs, signal =>
      client.catalog.show(kind, caller.scopes.tools, signal),
    );
    call.end.throwIfAborted();
    const cursor = cursorOf(frame);
    const options = {
      position: cursor === undefined ? undefined : cursors.open(kind, cursor),
      cursors,
      size: listPageSize,
      routes: client.catalog.routes,
      isModern: client.era === 'modern',
    };
    return onOneLine(renderResult(call.rawId, renderListPage(view, kind, options)));
  };
}

function cursorOf(frame: RequestFrame): string | undefined {
  const span = frame.params?.members?.get('cursor');
  const cursor = textParam(frame, 'cursor');
  if (span && cursor === undefined) throw invalidParams('cursor', '`cursor` must be a string.');
  return cursor;
}

const none: CallContext['edits'] = [];
const namePath = ['name'];

function nameHandler(kind: 'tools' | 'prompts'): Handler {
  return (request, deps) => {
    const { client, caller, call, frame } = request;
    const name = textParam(frame, 'name');
    if (name === undefined) throw invalidParams('name', '`params.name` must be a string.');
    const { catalog } = client;
    const patterns = caller.scopes.tools;
    const use = (entry: CatalogEntry<ListedItem> | undefined) => {
      if (!entry) throw unknownName(kind, name);
      return passOn(request, deps, {
        server: entry.server,
        exposedName: entry.exposed,
        serverName: entry.item.key,
        annotations: () => annotationsOf(entry.item),
        edits: name === entry.item.key ? none : [{ path: namePath, text: entry.item.key }],
        paramHeaders: kind === 'tools' ? paramHeadersFor(request, entry.item) : noHeaders,
      });
    };
    const known = catalog.knownName(kind, name, patterns);
    return known ? use(known) : catalog.resolveName(kind, name, patterns, call.end).then(use);
  };
}

/** What a client of the new era put into headers must be what it put into the arguments. */
function paramHeadersFor({ frame, headers }: Request, item: ListedItem): Record<string, string> {
  const wanted = readHeaders(item, frame);
  const wrong = headers && findHeaderMismatch(wanted, item, headers);
  if (wrong === undefined) return wanted;
  throw new GatewayError('invalid_request', `The header \`${wrong}\` does not say what the arguments say.`, {
    reason: 'header_mismatch',
    param: wrong,
  });
}

function readHeaders(item: ListedItem, frame: RequestFrame): Record<string, string> {
  try {
    return headersOfArguments(item, frame);
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    // Which of the two the server would read nobody knows.
    throw invalidParams('arguments', `\`params.arguments\` is ambiguous: ${error.message}`);
  }
}

async function readResource(request: Request, deps: DispatchDeps): Promise<Buffer> {
  return passOn(request, deps, await resourceTarget(request));
}

async function subscribe(request: Request, deps: DispatchDeps): Promise<Buffer> {
  const target = await resourceTarget(request);
  const { client, call } = request;
  const upstream = allowedUpstream(request, deps, target);
  const ask = async () => {
    let isRefused = false;
    const answer = await send(request, deps, { upstream, target }, () => {
      isRefused = true;
    });
    return { answer, isRefused };
  };
  const told = await withinLimit(request, deps, upstream, () =>
    client.channels.subscriptions.subscribe(upstream, target.serverName, { ask, signal: call.end }),
  );
  return told?.answer ?? renderResult(call.rawId, '{}');
}

async function unsubscribe(request: Request, deps: DispatchDeps): Promise<Buffer> {
  const target = await resourceTarget(request);
  const { client, call } = request;
  const upstream = allowedUpstream(request, deps, target);
  const ask = () => send(request, deps, { upstream, target });
  const answer = await withinLimit(request, deps, upstream, () =>
    client.channels.subscriptions.unsubscribe(upstream, target.serverName, { ask, signal: call.end }),
  );
  return answer ?? renderResult(call.rawId, '{}');
}

/** The wait for those who ask about the same resource is the server's time, too. */
async function withinLimit<Value>(
  { caller, frame, call }: Request,
  { clock }: DispatchDeps,
  upstream: Upstream,
  act: () => Promise<Value>,
): Promise<Value> {
  const stop = limitCall(clock, { caller, upstream, serverName: undefined, frame, call });
  try {
    return await act();
  } finally {
    stop();
  }
}

async function complete(request: Request, deps: DispatchDeps): Promise<Buffer> {
  const { client, caller, call, frame } = request;
  const ref = frame.params?.members?.get('ref')?.members;
  const type = stringAt(frame.bytes, ref?.get('type'));
  if (type === 'ref/prompt') {
    const name = stringAt(frame.bytes, ref?.get('name')) ?? '';
    const entry = await client.catalog.resolveName('prompts', name, caller.scopes.tools, call.end);
    if (!entry) throw unknownName('prompts', name);
    const edits = [{ path: ['ref', 'name'], text: entry.item.key }];
    return passOn(request, deps, {
      server: entry.server,
      exposedName: name,
      serverName: entry.item.key,
      edits,
    });
  }
  if (type === 'ref/resource') {
    return passOn(request, deps, await resourceTarget(request, ['ref', 'uri']));
  }
  throw invalidParams('ref.type', '`ref.type` must be `ref/prompt` or `ref/resource`.');
}

async function setLevel({ client, call, frame }: Request): Promise<Buffer> {
  const level = textParam(frame, 'level') ?? '';
  if (!isLogLevel(level)) throw invalidParams('level', '`level` is none of the levels of RFC 5424.');
  await client.channels.setLogLevel(level, call.end);
  return renderResult(call.rawId, '{}');
}

async function resourceTarget(request: Request, path: readonly string[] = ['uri']): Promise<Target> {
  const { client, caller, call, frame } = request;
  const holder = path.length === 1 ? frame.params?.members : frame.params?.members?.get('ref')?.members;
  const uri = stringAt(frame.bytes, holder?.get('uri'));
  if (uri === undefined)
    throw invalidParams(path.join('.'), `\`params.${path.join('.')}\` must be a string.`);
  const found = await client.catalog.resolveUri(uri, caller.scopes.tools, call.end);
  if (!found) throw unknownResource(uri, path.join('.'));
  return {
    server: found.server,
    exposedName: uri,
    serverName: found.uri,
    edits: found.uri === uri ? [] : [{ path, text: found.uri }],
  };
}
