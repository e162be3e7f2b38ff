import type { SpanContext } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type LifeDeps, RequestLife } from './request-life.ts';
import { traceContextOf } from './trace-context.ts';

const life = Symbol('life');
const traceContext = Symbol('traceContext');

interface Slots {
  [life]: RequestLife;
  [traceContext]: SpanContext | undefined;
}

/** Gives Fastify's requests `gone` and `traceContext`. Both are made on first use: most requests end before anybody asks. */
export function addRequestSignals(
  app: FastifyInstance,
  deps: LifeDeps,
): { follow(request: FastifyRequest): void } {
  const slotsOf = (request: FastifyRequest) => request as unknown as Slots; // slots are private to this file

  app.decorateRequest('caller');
  app.decorateRequest('gone', {
    getter(this: FastifyRequest) {
      return slotsOf(this)[life].signal;
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
    const made = new RequestLife(reply.raw, deps);
    slotsOf(request)[life] = made;
    reply.raw.once('close', () => made.closed());
    done();
  });
  return { follow: request => slotsOf(request)[life].follow(request.caller) };
}

export function singleHeader(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
