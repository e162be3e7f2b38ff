import type { ServerResponse } from 'node:http';
import type { SpanContext } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { LiveCalls } from '../identity/live-calls.ts';
import { traceContextOf } from './trace-context.ts';

export interface RequestSignals {
  /**
   * Lets the request be stopped with its caller's key, principal or run: `request.gone` fires with the reason, and what is then still
   * unfinished after a moment is cut.
   */
  follow(request: FastifyRequest): void;
  /** Aborts `request.gone` of every request that is still being answered. */
  abortAll(reason: GatewayError): void;
}

const response = Symbol('response');
const gone = Symbol('gone');
const traceContext = Symbol('traceContext');
const stopped = Symbol('stopped');

/** Time to say in the protocol of the route why an answer ends. */
const lastWordsMs = 300;

interface Slots {
  [response]: ServerResponse;
  [gone]: AbortController | undefined;
  [traceContext]: SpanContext | undefined;
  [stopped]: GatewayError | undefined;
}

/** Gives requests `gone` and `traceContext`. Both are made on first use: most requests end before anybody asks. */
export function addRequestSignals(
  app: FastifyInstance,
  { live, clock }: { live: LiveCalls; clock: Clock },
): RequestSignals {
  const open = new Set<AbortController>();
  const slotsOf = (request: FastifyRequest) => request as unknown as Slots; // slots are private to this file

  app.decorateRequest('caller');
  app.decorateRequest('gone', {
    getter(this: FastifyRequest) {
      const slots = slotsOf(this);
      if (slots[gone] !== undefined) return slots[gone].signal;
      const controller = new AbortController();
      slots[gone] = controller;
      if (slots[stopped] !== undefined) controller.abort(slots[stopped]);
      else follow(slots[response], controller, open);
      return controller.signal;
    },
  });
  app.decorateRequest('traceContext', {
    getter(this: FastifyRequest) {
      const slots = slotsOf(this);
      slots[traceContext] ??= traceContextOf(singleHeader(this.headers.traceparent));
      return slots[traceContext];
    },
  });
  app.addHook('onRequest', (request, reply, done) => {
    slotsOf(request)[response] = reply.raw;
    done();
  });

  return {
    follow(request) {
      const slots = slotsOf(request);
      const raw = slots[response];
      if (raw.destroyed || raw.closed) return;
      const leave = live.add({
        caller: request.caller,
        abort(reason) {
          if (slots[stopped] !== undefined) return;
          slots[stopped] = reason;
          slots[gone]?.abort(reason);
          clock.schedule(lastWordsMs, () => {
            if (!raw.closed) raw.destroy();
          });
        },
      });
      raw.once('close', leave);
    },
    abortAll: reason => {
      for (const controller of open) controller.abort(reason);
    },
  };
}

function follow(raw: ServerResponse, controller: AbortController, open: Set<AbortController>): void {
  const clientGone = () =>
    new GatewayError('cancelled', 'The client closed the connection.', { reason: 'client_gone' });
  if (raw.destroyed || raw.closed) {
    if (!raw.writableFinished) controller.abort(clientGone());
    return;
  }
  open.add(controller);
  raw.once('close', () => {
    open.delete(controller);
    if (!raw.writableFinished) controller.abort(clientGone());
  });
}

function singleHeader(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
