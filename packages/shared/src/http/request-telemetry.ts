import type { FastifyInstance } from 'fastify';
import type { HistogramSeries } from '../telemetry/histograms.ts';
import { attributes, durationBuckets, metricNames } from '../telemetry/semantic-conventions.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

const maxSeries = 2000;
const knownMethods = new Set(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']);

/** A request that was answered. */
export interface AnsweredRequest {
  readonly id: string;
  readonly method: string;
  /** As it was registered. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

export type RecordRequest = (request: AnsweredRequest) => void;

/** One histogram entry a request; one log line for those that failed on our side. Labels are the route, never the path. */
export function createRequestTelemetry(telemetry: Telemetry): RecordRequest {
  const duration = telemetry.histograms.histogram(metricNames.httpServerDuration, {
    description: 'Duration of HTTP requests.',
    unit: 's',
    boundaries: durationBuckets,
  });
  const seriesByRoute = new Map<string, Map<string, Map<number, HistogramSeries>>>();
  let count = 0;

  const seriesOf = (method: string, route: string, status: number): HistogramSeries => {
    const known = seriesByRoute.get(route)?.get(method)?.get(status);
    if (known !== undefined) return known;
    const made = duration.series({
      [attributes.httpMethod]: method,
      [attributes.httpRoute]: route,
      [attributes.httpStatus]: status,
    });
    if (count >= maxSeries) return made;
    count++;
    const byMethod = seriesByRoute.get(route) ?? new Map<string, Map<number, HistogramSeries>>();
    const byStatus = byMethod.get(method) ?? new Map<number, HistogramSeries>();
    seriesByRoute.set(route, byMethod.set(method, byStatus.set(status, made)));
    return made;
  };

  return ({ id, method, route, status, seconds }) => {
    seriesOf(knownMethods.has(method) ? method : '_OTHER', route, status).record(seconds);
    if (status >= 500) {
      telemetry.log.warn({ requestId: id, route, status, seconds }, 'request answered with a server error');
    }
  };
}

/** The same for what Fastify answers. */
export function addRequestTelemetry(app: FastifyInstance, record: RecordRequest): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { id, method } = request;
    const route = request.routeOptions.url ?? 'unknown';
    record({ id, method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
    done();
  });
}
