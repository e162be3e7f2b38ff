import type { ListKind } from '../domain/catalog.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { withSignal } from '../domain/with-signal.ts';
import { decodeParams, rawText, textParam } from '../wire/frame.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { textsIn, withSubscription } from '../wire/modern/subscription.ts';
import { HeldMessages } from './held-messages.ts';
import { maxSubscriptions, tooManySubscriptions } from './subscription-limit.ts';
import type { WatchOptions } from './watch-options.ts';
import { WatchedResources } from './watched-resources.ts';
import { WatchedTasks } from './watched-tasks.ts';

export interface ListenOptions extends WatchOptions {
  /** One message for the client, on the stream of its request. */
  readonly send: (message: string) => void;
  /** The stream has to end: the gateway stops, or what its client was told that it would hear is told by nobody any more. */
  readonly onEnd: () => void;
}

const flags: Readonly<Record<string, readonly ListKind[]>> = {
  toolsListChanged: ['tools'],
  promptsListChanged: ['prompts'],
  resourcesListChanged: ['resources', 'templates'],
};
const capabilityOf: Readonly<Record<string, string>> = {
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
};
/** How long a server may take to confirm before the client gets its acknowledgement anyway. */
const confirmMs = 10_000;

/**
 * `subscriptions/listen` (2026-07-28, "Subscriptions"): what the client wants is asked of the servers that have it, each in its
 * own era; the acknowledgement names what they really do. Returns what ends it.
 */
export async function listen(options: ListenOptions): Promise<() => void> {
  const { peer, frame, send, signal, caller } = options;
  const subscriptionId = rawText(frame.bytes, frame.id);
  const meta = `"_meta":{${JSON.stringify(hopMeta.subscriptionId)}:${subscriptionId}}`;
  /** The acknowledgement is the first message. */
  const messages = new HeldMessages(send);
  const notification = (method: string, params = '') =>
    `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":{${meta}${params}}}`;
  const notify = (method: string, params?: string) => messages.tell(notification(method, params));

  const asked = decodeParams(frame).notifications;
  const filter = (typeof asked === 'object' && asked !== null ? asked : {}) as Record<string, unknown>;
  const uris = namesIn(filter.resourceSubscriptions, 'notifications.resourceSubscriptions');
  const askedTasks = namesIn(filter.taskIds, 'notifications.taskIds');
  const honouredFlags = await honoured(options, filter);
  const kinds = new Set(honouredFlags.flatMap(flag => flags[flag] ?? []));
  const resources = new WatchedResources(options, confirmMs);
  const tasks = new WatchedTasks(options, confirmMs);

  const listening = peer.addListener({
    onListsChanged: changed => tellLists(kinds, changed, notify),
    onResourceUpdated: (server, uri) => {
      for (const shown of resources.namesFor(server, uri))
        notify('notifications/resources/updated', `,"uri":${JSON.stringify(shown)}`);
    },
    onDraining: options.onEnd,
    onServersGone: gone => {
      if (resources.areOf(gone) || tasks.areOf(gone)) options.onEnd(); // its client listens again, to what has come in their place
    },
    onTask: (_server, message) => {
      const isWatched = tasks.has(textParam(message, 'taskId') ?? '');
      if (isWatched) messages.tell(withSubscription(message, subscriptionId));
    },
  });
  const stop = () => {
    listening.stop();
    resources.stop();
    tasks.stop();
  };
  try {
    await withSignal(listening.heard, AbortSignal.timeout(confirmMs)).catch(() => {}); // it is told later then
    // What later changes are told against: the lists as they are now.
    await Promise.all([...kinds].map(kind => peer.catalog.show(kind, caller.scopes.tools, signal)));
    const [subscribed, taskIds] = await Promise.all([resources.watch(uris), tasks.watch(askedTasks)]);
    const acknowledged = {
      ...Object.fromEntries(honouredFlags.map(flag => [flag, true])),
      ...(uris.length > 0 && { resourceSubscriptions: subscribed }),
      ...(askedTasks.length > 0 && { taskIds }),
    };
    const honouredNames = `,"notifications":${JSON.stringify(acknowledged)}`;
    messages.begin(notification('notifications/subscriptions/acknowledged', honouredNames));
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

/** The result with which a stream ends that the gateway ends. */
export function endOfListening(frame: RequestFrame): string {
  const id = rawText(frame.bytes, frame.id);
  const meta = `{${JSON.stringify(hopMeta.subscriptionId)}:${id}}`;
  return `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","_meta":${meta}}}`;
}

function tellLists(
  kinds: ReadonlySet<ListKind>,
  changed: ReadonlySet<ListKind>,
  notify: (method: string) => void,
): void {
  const has = (kind: ListKind) => kinds.has(kind) && changed.has(kind);
  if (has('tools')) notify('notifications/tools/list_changed');
  if (has('prompts')) notify('notifications/prompts/list_changed');
  if (has('resources') || has('templates')) notify('notifications/resources/list_changed');
}

/** The kinds of changes that at least one server tells. */
async function honoured(
  { peer, directory, signal }: ListenOptions,
  filter: Readonly<Record<string, unknown>>,
): Promise<string[]> {
  const wanted = Object.keys(flags).filter(flag => filter[flag] === true);
  if (wanted.length === 0) return [];
  const capabilities = await Promise.all(
    directory.list().map(upstream =>
      peer.channels
        .channelOf(upstream)
        .ready(signal)
        .then(hello => hello.capabilities)
        .catch(() => ({}) as Readonly<Record<string, unknown>>),
    ),
  );
  return wanted.filter(flag =>
    capabilities.some(each => {
      const capability = each[capabilityOf[flag] ?? ''] as { listChanged?: unknown } | undefined;
      return capability?.listChanged === true;
    }),
  );
}

/** Each once. @throws GatewayError invalid_request (`too_many_subscriptions`) */
function namesIn(list: unknown, param: string): string[] {
  const names = [...textsIn(list)];
  if (names.length > maxSubscriptions) throw tooManySubscriptions(param);
  return names;
}
