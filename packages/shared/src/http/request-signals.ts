import type { ServerResponse } from 'node:http';
import type { SpanContext } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors/gateway-error.ts';
import { traceContextOf } from './trace-context.ts';

export interface RequestSignals {
  /** Aborts `request.gone` of every request that is still being answered. */
  abortAll(reason: GatewayError): void;
}

const response = Symbol('response');
const gone = Symbol('gone');
const traceContext = Symbol('traceContext');

interface Slots {
  [response]: ServerResponse;
  [gone]: AbortController | undefined;
  [traceContext]: SpanContext | undefined;
}

/** Gives requests `gone` and `traceContext`. Both are made on first use: most requests end before anybody asks. */
export function addRequestSignals(app: FastifyInstance): RequestSignals {
  const open = new Set<AbortController>();
  const slotsOf = (request: FastifyRequest) => request as unknown as Slots; // slots are private to this file

  app.decorateRequest('caller');
  app.decorateRequest('gone', {
    getter(this: FastifyRequest) {
      const slots = slotsOf(this);
      if (slots[gone] !== undefined) return slots[gone].signal;
      const controller = new AbortController();
      slots[gone] = controller;
      follow(slots[response], controller, open);
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
