import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { isObject } from '../domain/capabilities.ts';
import type { Upstream } from '../domain/upstream.ts';
import { rawText, textParam } from '../wire/frame.ts';
import { renderResult } from '../wire/render.ts';
import { onOneLine } from '../wire/splice.ts';
import { unknownTask } from './dispatch-errors.ts';
import { metaKeys } from './gateway-identity.ts';
import { mayHearOf } from './may-call.ts';
import {
  type DispatchDeps,
  type Handler,
  type PassOn,
  type Request,
  type Target,
  unknownMethod,
} from './request.ts';

/**
 * Tasks: of sessions (2025-11-25, "Tasks") and of the extension (SEP-2663). Each goes to the server that has it, in an era that both ends
 * speak; an id of somebody else's is one that never was. Servers that all sessions share offer none to sessions, because they tell all
 * who ask about all tasks.
 */
export function taskHandlers(passOn: PassOn): Readonly<Record<string, Handler>> {
  const toItsServer: Handler = (request, deps) => passOn(request, deps, targetOf(request, deps));
  return {
    'tasks/get': toItsServer,
    'tasks/cancel': toItsServer,
    'tasks/result': toItsServer,
    'tasks/update': toItsServer,
    'tasks/list': listTasks,
  };
}

const maxPages = 20;
const maxTasks = 1000;

function targetOf({ client, frame }: Request, { taskIds, haveTasks }: DispatchDeps): Target {
  const exposed = textParam(frame, 'taskId');
  const found = exposed === undefined ? undefined : taskIds.resolve(client.owner, exposed);
  if (!found || exposed === undefined) {
    if (!haveTasks(client.era)) throw unknownMethod(frame.method);
    throw unknownTask();
  }
  const { server, taskId } = found;
  return { server, exposedName: exposed, serverName: taskId, edits: [{ path: ['taskId'], text: taskId }] };
}

/** The tasks of this session's own conversations, which is where its tasks are; the newest thousand of each server on one page. */
async function listTasks(request: Request, { haveTasks, policy }: DispatchDeps): Promise<Buffer> {
  const { client, caller, call, frame } = request;
  if (!haveTasks(client.era)) throw unknownMethod(frame.method);
  const servers = client.channels
    .upstreams()
    .filter(upstream => upstream.policy.sharing === 'session')
    .filter(upstream => mayHearOf({ caller, frame, policy }, upstream, 'tasks/get'));
  const signal = call.end;
  const missing: { server: string; reason: string }[] = [];
  const lists = await Promise.all(
    servers.map(upstream =>
      tasksOf(client, upstream, signal).catch((error: unknown) => {
        missing.push({ server: upstream.name, reason: GatewayError.from(error).reason });
        return [];
      }),
    ),
  );
  signal.throwIfAborted();
  const meta = missing.length > 0 && { _meta: { [metaKeys.unavailable]: missing } };
  return onOneLine(renderResult(call.rawId, JSON.stringify({ tasks: lists.flat(), ...meta })));
}

async function tasksOf(
  client: Request['client'],
  upstream: Upstream,
  signal: StopSignal,
): Promise<unknown[]> {
  const channel = client.channels.channelOf(upstream);
  const { capabilities } = await channel.ready(signal);
  if (!isObject(capabilities.tasks) || capabilities.tasks.list === undefined) return [];
  const names = client.namesOf(upstream.name);
  const tasks: unknown[] = [];
  let cursor: unknown;
  for (let page = 0; page < maxPages && tasks.length < maxTasks; page++) {
    const frame = await channel.ask('tasks/list', cursor === undefined ? {} : { cursor }, signal);
    const result: unknown = frame.result && JSON.parse(rawText(frame.bytes, frame.result));
    if (!isObject(result) || !Array.isArray(result.tasks)) break;
    for (const task of result.tasks.filter(isObject))
      if (typeof task.taskId === 'string') tasks.push({ ...task, taskId: names.taskId(task.taskId) });
    cursor = result.nextCursor;
    if (typeof cursor !== 'string') break;
  }
  return tasks;
}
