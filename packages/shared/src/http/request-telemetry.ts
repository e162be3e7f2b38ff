import type { FastifyInstance } from 'fastify';
import type { HistogramSeries } from '../telemetry/histograms.ts';
import { attributes, durationBuckets, metricNames } from '../telemetry/semantic-conventions.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

const maxSeries = 2000;
const knownMethods = new Set(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']);

/** One histogram entry a request; one log line for those that failed on our side. Labels are the route, never the path. */
export function addRequestTelemetry(app: FastifyInstance, telemetry: Telemetry): void {
  const duration = telemetry.histograms.histogram(metricNames.httpServerDuration, {
    description: 'Duration of HTTP requests.',
    unit: 's',
    boundaries: durationBuckets,
  });
  const seriesByRoute = new Map<string, HistogramSeries>();

  const seriesOf = (method: string, route: string, status: number): HistogramSeries => {
    const key = `${method} ${route} ${status}`;
    const known = seriesByRoute.get(key);
    if (known !== undefined) return known;
    const made = duration.series({
      [attributes.httpMethod]: method,
      [attributes.httpRoute]: route,
      [attributes.httpStatus]: status,
    });
    if (seriesByRoute.size < maxSeries) seriesByRoute.set(key, made);
    return made;
  };

  app.addHook('onResponse', (request, reply, done) => {
    const seconds = reply.elapsedTime / 1000;
    const route = request.routeOptions.url ?? 'unknown';
    seriesOf(knownMethods.has(request.method) ? request.method : '_OTHER', route, reply.statusCode).record(
      seconds,
    );
    if (reply.statusCode >= 500) {
      telemetry.log.warn(
        { requestId: request.id, route, status: reply.statusCode, seconds },
        'request answered with a server error',
      );
    }
    done();
  });
}
