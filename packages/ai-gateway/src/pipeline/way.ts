import type { Attempt } from '../domain/call.ts';
import type { StreamedBody } from '../domain/form.ts';
import { type Loss, Losses } from '../domain/losses.ts';
import type { AnswerFacts, AnswerHeaders, Protocol } from '../domain/protocol.ts';
import type { ProtocolAccess } from '../domain/provider.ts';
import { applyRawQuirks } from '../domain/quirks.ts';
import { eventLimits } from './event-limits.ts';
import { openRawPassage, type Passage } from './passage.ts';

/** A whole answer, as the client will get it. */
export type WholeRead =
  | {
      readonly type: 'answer';
      readonly body: Buffer;
      readonly facts: AnswerFacts;
      /** The bytes are a stream of the client's protocol, because it asked for one and the upstream gave none. */
      readonly isStream: boolean;
    }
  | { readonly type: 'error'; readonly codes: readonly string[] }
  | { readonly type: 'malformed' };

/** How one attempt speaks with its target and answers the client: in the client's own words, or through the neutral model. */
export interface Way {
  /** The upstream's. */
  readonly protocol: Protocol;
  readonly access: ProtocolAccess;
  readonly body: Buffer;
  /** What is sent in place of `body` where that is not all of it. */
  readonly upload?: StreamedBody | undefined;
  /** What the request lost on the way. */
  readonly losses: readonly Loss[];
  /** Whether the upstream's own words are in the client's protocol. */
  readonly isRaw: boolean;
  openPassage(beforeTerminal: (() => string | undefined) | undefined): Passage;
  readWhole(body: Buffer, headers: AnswerHeaders): WholeRead;
}

interface RawOptions {
  /** The protocol in the form of somebody who hosts its models. */
  readonly hosted?: Protocol;
  /** Tells a whole answer to a client that asked for a stream. */
  tellAsStream(body: Buffer): WholeRead;
}

/** Same protocol: bytes spliced and passed on (AI-2). */
export function rawWay(attempt: Attempt, access: ProtocolAccess, { hosted, tellAsStream }: RawOptions): Way {
  const { call, target } = attempt;
  const { request } = call;
  const protocol = hosted ?? call.protocol;
  const losses = new Losses();
  const asked = applyRawQuirks(request, access.quirks, losses);
  const { 'anthropic-beta': betas } = call.headers;
  const change = {
    model: target.model,
    mayAskStreamUsage: access.mayAskStreamUsage,
    anthropicBeta: typeof betas === 'string' ? betas : undefined,
  };
  return {
    protocol,
    access,
    body: protocol.writeRequest(asked, change),
    upload: request.form && protocol.writeForm?.(request.form, change),
    losses: losses.all,
    // A host has words of its own for its refusals.
    isRaw: hosted === undefined && protocol.hasOwnErrors !== true,
    openPassage: beforeTerminal =>
      openRawPassage(protocol.openReader(request), {
        unwrapper: hosted?.openUnwrapper?.(),
        limits: eventLimits(request, protocol),
        renderError: error => protocol.renderStreamError(error, { requestId: call.requestId }),
        ...(beforeTerminal && { beforeTerminal }),
      }),
    readWhole(body, headers) {
      const read = protocol.readAnswer(body, headers);
      if (read.type !== 'answer') return read;
      if (request.isStream && call.protocol.codec !== undefined) return tellAsStream(body);
      return { ...read, body, isStream: false };
    },
  };
}
