import type { FastifyInstance } from 'fastify';
import { attributes, durationBuckets, metricNames } from '../telemetry/semantic-conventions.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** One histogram entry a request; one log line for those that failed on our side. Labels are the route, never the path. */
export function addRequestTelemetry(app: FastifyInstance, telemetry: Telemetry): void {
  const duration = telemetry.meter.createHistogram(metricNames.httpServerDuration, {
    description: 'Duration of HTTP requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  app.addHook('onResponse', (request, reply, done) => {
    const seconds = reply.elapsedTime / 1000;
    const route = request.routeOptions.url ?? 'unknown';
    duration.record(seconds, {
      [attributes.httpMethod]: request.method,
      [attributes.httpRoute]: route,
      [attributes.httpStatus]: reply.statusCode,
    });
    if (reply.statusCode >= 500) {
      telemetry.log.warn(
        { requestId: request.id, route, status: reply.statusCode, seconds },
        'request answered with a server error',
      );
    }
    done();
  });
}
