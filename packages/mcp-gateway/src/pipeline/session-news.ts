import { splice } from '@strata/shared/json/splice.ts';
import type { ListKind } from '../domain/catalog.ts';
import type { NotificationFrame, RequestFrame } from '../domain/frame.ts';
import type { Channel, Upstream } from '../domain/upstream.ts';
import { textParam } from '../wire/frame.ts';
import type { ExposedNames } from '../wire/references.ts';
import { copySpan } from '../wire/render.ts';
import { withNames } from './exposed-names.ts';
import { withoutHopMeta } from './modern-results.ts';
import { type ReverseRequests, refuse } from './reverse-requests.ts';
import type { SessionChannelEvents } from './session-channels.ts';
import type { SessionReader } from './session-reader.ts';

/** As much of a session as news needs. */
interface NewsSession {
  readonly reader: SessionReader;
  readonly reverse: ReverseRequests;
  namesOf(server: string): ExposedNames;
  sendFor(call: undefined, message: Buffer, mayBeLost: boolean): void;
}

/** What servers say and ask outside the calls of a session, for its own stream, as far as whoever reads that may hear of them. */
export function sessionNews(options: {
  readonly session: NewsSession;
  readonly onListsChanged: (kinds: readonly ListKind[], saidBy?: Upstream) => void;
  readonly save: () => void;
}): SessionChannelEvents {
  const { session } = options;
  const named = <F extends RequestFrame | NotificationFrame>(upstream: Upstream, frame: F) =>
    withNames(frame, session.namesOf(upstream.name));
  return {
    onListsChanged: options.onListsChanged,
    onResourceUpdated(upstream: Upstream, frame: NotificationFrame) {
      if (!session.reader.may(upstream, 'resources/subscribe')) return;
      const update = named(upstream, frame);
      if (!update?.params || textParam(update, 'uri') === undefined) return;
      session.sendFor(undefined, splice(update.bytes, withoutHopMeta(update.bytes, update.params)), false);
    },
    onMessage({ upstream }: Channel, frame: NotificationFrame) {
      const isTask = frame.method === 'notifications/tasks/status';
      if (!session.reader.may(upstream, isTask ? 'tasks/get' : frame.method)) return;
      const message = named(upstream, frame);
      if (message) session.sendFor(undefined, message.bytes, !isTask);
    },
    onRequest(channel: Channel, frame: RequestFrame) {
      const refused = (code: number, why: string) =>
        channel.tell(refuse(copySpan(frame.bytes, frame.id), code, why));
      if (!session.reader.may(channel.upstream, frame.method)) return refused(-32601, 'Nobody may be asked.');
      const question = named(channel.upstream, frame);
      if (!question) return refused(-32602, 'The question is not valid.');
      session.reverse.ask(channel, question, bytes => session.sendFor(undefined, bytes, false));
    },
    onCancelled: (channel: Channel, frame: NotificationFrame) => session.reverse.cancel(channel, frame),
    onTask: () => {}, // of an extension that sessions do not have
    onLost: (channel: Channel) => session.reverse.forget(channel),
    onSettingsChanged: options.save,
  };
}
