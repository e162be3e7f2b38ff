import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { hasTasks } from '../domain/capabilities.ts';
import type { ListKind } from '../domain/catalog.ts';
import type { RequestFrame } from '../domain/frame.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { withSignal } from '../domain/with-signal.ts';
import { decodeParams, rawText, textParam } from '../wire/frame.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { withSubscription } from '../wire/modern/subscription.ts';
import type { ModernPeer } from './modern-peer.ts';

export interface ListenOptions {
  readonly peer: ModernPeer;
  readonly directory: UpstreamDirectory;
  readonly patterns: readonly string[];
  readonly frame: RequestFrame;
  /** One message for the client, on the stream of its request. */
  readonly send: (message: string) => void;
  readonly signal: StopSignal;
  /** The gateway stops, and the stream has to end. */
  readonly onDraining: () => void;
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
/** Resources, and tasks. */
const maxNames = 1000;
/** How long a server may take to confirm before the client gets its acknowledgement anyway. */
const confirmMs = 10_000;

/**
 * `subscriptions/listen` (2026-07-28, "Subscriptions"): what the client wants is asked of the servers that have it, each in its
 * own era; the acknowledgement names what they really do. Returns what ends it.
 */
export async function listen(options: ListenOptions): Promise<() => void> {
  const { peer, frame, send, signal, patterns } = options;
  const subscriptionId = rawText(frame.bytes, frame.id);
  const meta = `"_meta":{${JSON.stringify(hopMeta.subscriptionId)}:${subscriptionId}}`;
  /** What happens before the acknowledgement, which is the first message. */
  let early: string[] | undefined = [];
  const tell = (message: string) => (early ? void early.push(message) : send(message));
  const notification = (method: string, params = '') =>
    `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":{${meta}${params}}}`;
  const notify = (method: string, params?: string) => tell(notification(method, params));

  const asked = decodeParams(frame).notifications;
  const filter = (typeof asked === 'object' && asked !== null ? asked : {}) as Record<string, unknown>;
  const honouredFlags = await honoured(options, filter);
  const kinds = new Set(honouredFlags.flatMap(flag => flags[flag] ?? []));
  const subscribed = new Map<string, { upstream: Upstream; uri: string }>();
  const uris = textsIn(filter.resourceSubscriptions);
  const askedTasks = textsIn(filter.taskIds);
  const tasks = new Map<string, WatchedTask>();

  const listening = peer.addListener({
    onListsChanged: changed => tellLists(kinds, changed, notify),
    onResourceUpdated: (server, uri) => {
      for (const [exposed, target] of subscribed) {
        if (target.upstream.name !== server || !uri.startsWith(target.uri)) continue;
        const shown = uri === target.uri ? exposed : peer.catalog.routes.expose(server, uri);
        notify('notifications/resources/updated', `,"uri":${JSON.stringify(shown)}`);
      }
    },
    onDraining: options.onDraining,
    onTask: (_server, message) => {
      if (tasks.has(textParam(message, 'taskId') ?? '')) tell(withSubscription(message, subscriptionId));
    },
  });
  try {
    await withSignal(listening.heard, AbortSignal.timeout(confirmMs)).catch(() => {}); // it is told later then
    // What later changes are told against: the lists as they are now.
    await Promise.all([...kinds].map(kind => peer.catalog.show(kind, patterns, signal)));
    for (const uri of uris) {
      const target = await subscribe(options, uri);
      if (target) subscribed.set(uri, target);
    }
    for (const exposed of askedTasks) {
      const task = await watchTask(options, exposed);
      if (task) tasks.set(exposed, task);
    }
  } catch (error) {
    listening.stop();
    throw error;
  }
  const acknowledged = {
    ...Object.fromEntries(honouredFlags.map(flag => [flag, true])),
    ...(uris.length > 0 && { resourceSubscriptions: [...subscribed.keys()] }),
    ...(askedTasks.length > 0 && { taskIds: [...tasks.keys()] }),
  };
  const honouredNames = `,"notifications":${JSON.stringify(acknowledged)}`;
  send(notification('notifications/subscriptions/acknowledged', honouredNames));
  for (const message of early) send(message);
  early = undefined;
  return () => {
    listening.stop();
    for (const { upstream, uri } of subscribed.values()) unsubscribe(peer, upstream, uri);
    for (const task of tasks.values()) forgetTask(peer, task);
  };
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

async function subscribe(
  { peer, directory, patterns, signal }: ListenOptions,
  exposed: string,
): Promise<{ upstream: Upstream; uri: string } | undefined> {
  const resolved = await peer.catalog.resolveUri(exposed, patterns, signal).catch(() => undefined);
  const upstream = resolved && directory.get(resolved.server);
  if (!resolved || !upstream) return undefined;
  const channel = peer.channels.channelOf(upstream);
  try {
    const { capabilities } = await channel.ready(signal);
    const resources = capabilities.resources as { subscribe?: unknown } | undefined;
    if (resources?.subscribe !== true) return undefined;
    if (peer.hold(upstream, 'resource', resolved.uri) && peer.channels.subscribe(upstream, resolved.uri)) {
      const answer = await channel.ask('resources/subscribe', { uri: resolved.uri }, signal);
      if (answer.error) throw new Error('refused');
    }
    return { upstream, uri: resolved.uri };
  } catch {
    unsubscribe(peer, upstream, resolved.uri); // the server does not do it: then it is not acknowledged
    return undefined;
  }
}

function unsubscribe(peer: ModernPeer, upstream: Upstream, uri: string): void {
  if (!peer.release(upstream, 'resource', uri) || !peer.channels.unsubscribe(upstream, uri)) return;
  const signal = AbortSignal.timeout(upstream.policy.callTimeoutMs);
  peer.channels
    .channelOf(upstream)
    .ask('resources/unsubscribe', { uri }, signal)
    .catch(() => {}); // a server that is gone has forgotten it
}

interface WatchedTask {
  readonly upstream: Upstream;
  readonly taskId: string;
}

/** A task of this principal, at a server that tells how it goes on (SEP-2663). `undefined`: it is not acknowledged. */
async function watchTask(
  { peer, directory, signal }: ListenOptions,
  exposed: string,
): Promise<WatchedTask | undefined> {
  const found = peer.taskOf(exposed);
  const upstream = found && directory.get(found.server);
  const isTold = hasTasks(peer.hello.capabilities) && upstream?.policy.sharing === 'session';
  if (!found || !upstream || !isTold) return undefined;
  const task = { upstream, taskId: found.taskId };
  const channel = peer.channels.channelOf(upstream);
  const isReady = await channel.ready(signal).then(
    () => true,
    () => false, // one that cannot be reached tells nothing
  );
  if (!isReady) return undefined;
  const isFirst = peer.hold(upstream, 'task', found.taskId);
  if (!isFirst || (await channel.watchTask(found.taskId, true))) return task;
  peer.release(upstream, 'task', found.taskId);
  return undefined;
}

function forgetTask(peer: ModernPeer, { upstream, taskId }: WatchedTask): void {
  if (peer.release(upstream, 'task', taskId)) {
    void peer.channels.channelOf(upstream).watchTask(taskId, false); // never rejects
  }
}

function textsIn(list: unknown): string[] {
  return Array.isArray(list) ? list.filter(each => typeof each === 'string').slice(0, maxNames) : [];
}
