import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { Channel, ForwardedHandle } from '../domain/upstream.ts';
import { renderForwarded } from '../wire/forward-request.ts';
import { parseFrame } from '../wire/frame.ts';
import { isInputRefused } from '../wire/modern/input-required.ts';
import { relatedTask } from '../wire/modern/meta.ts';
import type { ExposedNames } from '../wire/references.ts';
import { copySpan } from '../wire/render.ts';
import { digestOf } from '../wire/request-digest.ts';
import type { CallContext } from './call-context.ts';
import { withNames } from './exposed-names.ts';
import { refuse } from './reverse-requests.ts';

/** Messages about a call that a client can do without when it reads too slowly. */
const lossyMethods = new Set(['notifications/progress', 'notifications/message']);

/**
 * The last step of a call: to its server and back. Ends with the server's answer, with its failure, or with the reason of
 * the call's signal; in that case the server is told, and what it still sends is dropped.
 */
export function forwardCall(context: CallContext): Promise<ResponseFrame> {
  const channel = context.client.channels.channelOf(context.upstream);
  if (channel.isReady) return forwardOn(channel, context);
  return channel.ready(context.call.end).then(() => forwardOn(channel, context));
}

function forwardOn(channel: Channel, context: CallContext): Promise<ResponseFrame> {
  const { client, call, frame, upstream, edits } = context;
  const signal = call.end;
  const names = client.namesOf(upstream.name);
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    let handle: ForwardedHandle | undefined;
    const onAbort = () => {
      const isTimeout = signal.reason instanceof GatewayError && signal.reason.kind === 'timeout';
      handle?.cancel('Nobody waits for the answer any more.', isTimeout);
      reject(signal.reason);
    };
    const settle = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      act();
    };
    signal.addEventListener('abort', onAbort);
    handle = channel.forward({
      method: frame.method,
      get progressToken() {
        return call.progressToken;
      },
      name: context.serverName,
      paramHeaders: context.paramHeaders,
      logLevel: client.logLevel === undefined ? undefined : JSON.stringify(client.logLevel),
      takesInputRequired: client.era === 'modern',
      isInputRefused: isInputRefused(frame),
      digest: () => digestOf(frame),
      render: (id, form) =>
        renderForwarded(frame, id, { params: edits, traceparent: context.traceparent, form }),
      onNotification: (method, bytes) => {
        if (!client.wants(method, bytes)) return;
        const named =
          lossyMethods.has(method) && !bytes.includes(relatedTask) ? { bytes } : namedIn(bytes, names);
        if (named) client.sendFor(call, named.bytes, lossyMethods.has(method));
      },
      onRequest: (asking, request) => {
        const named = withNames(request, names);
        if (named) client.ask(call, asking, named);
        else asking.tell(refuse(copySpan(request.bytes, request.id), -32602, 'The question is not valid.'));
      },
      onPaused: () => call.exchange.pause?.(),
      onAnswer: answer => settle(() => resolve(answer)),
      onFailure: error => settle(() => reject(error)),
    });
  });
}

function namedIn(bytes: Buffer, names: ExposedNames): { readonly bytes: Buffer } | undefined {
  const frame = parseFrame(bytes);
  return frame.kind === 'notification' ? withNames(frame, names) : undefined;
}
