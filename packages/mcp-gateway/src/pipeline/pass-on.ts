import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { Upstream } from '../domain/upstream.ts';
import { answerEdits, type ExposedNames } from '../wire/references.ts';
import { onOneLine } from '../wire/splice.ts';
import type { CallContext } from './call-context.ts';
import { unknownTarget } from './dispatch-errors.ts';
import { askPolicies, isStillAllowed } from './may-call.ts';
import type { DispatchDeps, Request, Target } from './request.ts';

const noAnnotations = () => ({});
export const noHeaders = {};

/** Sends the request through the stages to its server and gives the answer the client's id and the client's URIs. @throws GatewayError at once, too */
export function passOn(
  request: Request,
  deps: DispatchDeps,
  target: Target,
  onRefused?: () => void,
): Promise<Buffer> {
  const upstream = allowedUpstream(request, deps, target);
  return send(request, deps, { upstream, target }, onRefused);
}

/** The server may have been removed since its list was read; a key's globs are looked at for the name that is called. @throws GatewayError */
export function allowedUpstream(request: Request, deps: DispatchDeps, target: Target): Upstream {
  const upstream = deps.directory.get(target.server);
  if (!upstream || !isStillAllowed(request, upstream, target)) throw unknownTarget(request, target);
  askPolicies(request, deps, target);
  return upstream;
}

export async function send(
  request: Request,
  deps: DispatchDeps,
  { upstream, target }: { readonly upstream: Upstream; readonly target: Target },
  onRefused?: () => void,
): Promise<Buffer> {
  const { client, caller, call } = request;
  const answer = await deps.runCall({
    client,
    caller,
    call,
    frame: request.frame,
    upstream,
    exposedName: target.exposedName,
    serverName: target.serverName,
    annotations: target.annotations ?? noAnnotations,
    edits: joined(target.edits, client.requestEdits(target.server)),
    paramHeaders: target.paramHeaders ?? noHeaders,
    requestId: request.requestId,
    trace: request.trace,
    traceparent: request.traceparent,
  });
  if (answer.error) onRefused?.();
  const edits = client.answerEdits(request.frame.method, target.server, answer);
  return renderAnswer(request, answer, edits, client.namesOf(target.server));
}

function joined(own: CallContext['edits'], clients: CallContext['edits']): CallContext['edits'] {
  return clients.length === 0 ? own : [...own, ...clients];
}

function renderAnswer(
  { call, frame }: Request,
  answer: ResponseFrame,
  edits: readonly Edit[],
  names: ExposedNames,
): Buffer {
  const idEdit = { start: answer.id.start, end: answer.id.end, text: call.rawId };
  return onOneLine(splice(answer.bytes, [idEdit, ...edits, ...nameEdits(frame.method, answer, names)]));
}

function nameEdits(method: string, answer: ResponseFrame, names: ExposedNames): Edit[] {
  try {
    return answerEdits(method, answer, names);
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new GatewayError('upstream_failed', 'The server sent a message that is not valid.', {
      reason: 'server_message_invalid',
      cause: error,
    });
  }
}
