import type { Edit } from '@strata/shared/json/splice.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import type { Call } from '../domain/exchange.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { Era } from '../domain/protocol-versions.ts';
import type { Channel } from '../domain/upstream.ts';
import type { ExposedNames } from '../wire/references.ts';
import type { SessionCatalog } from './session-catalog.ts';
import type { SessionChannels } from './session-channels.ts';

/**
 * For whom calls are made: the client's half of an exchange, in either era. A session is one; what the requests of a client
 * without sessions share is another. The server's half is a `Channel`, in either era as well, so the four combinations of
 * eras are two implementations on each side and not four paths.
 */
export interface ClientSide {
  readonly era: Era;
  /** Stands for it in logs, traces and keys. */
  readonly tag: string;
  readonly hello: ClientHello;
  readonly catalog: SessionCatalog;
  readonly channels: SessionChannels;
  /** The level of log messages a call asked for itself; sessions have one for all of theirs. */
  readonly logLevel: string | undefined;
  /** Whether a notification about a call is for the client at all. */
  wants(method: string, message: Buffer): boolean;
  /** What has to be put in place of what the client wrote before it goes to this server. @throws GatewayError */
  requestEdits(server: string): readonly { readonly path: readonly string[]; readonly text: string }[];
  /** What makes a server's answer one of the client's era. */
  answerEdits(method: string, server: string, answer: ResponseFrame): Edit[];
  /** Who the client's tasks belong to. */
  readonly owner: string;
  /** What this client calls the things that a server names. */
  namesOf(server: string): ExposedNames;
  /** Sends a message that belongs to a call, on that call's stream where it has one. */
  sendFor(call: Call, message: Buffer, mayBeLost: boolean): void;
  /** A server asks something while it works on a call; the answer goes to `channel.tell` under the server's own id. */
  ask(call: Call, channel: Channel, frame: RequestFrame): void;
}
