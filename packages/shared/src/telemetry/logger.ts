import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * JSON lines to standard output. `Secret` values redact themselves; these paths catch headers that were logged whole by
 * somebody in a hurry.
 */
export function createLogger(options: {
  service: string;
  level: string;
  destination?: DestinationStream;
}): Logger {
  const settings = {
    base: { service: options.service },
    level: options.level,
    redact: {
      paths: sensitiveHeaders.flatMap(name => [`headers["${name}"]`, `*.headers["${name}"]`, `["${name}"]`]),
      censor: '[secret]',
    },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

const sensitiveHeaders = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'x-strata-envelope',
  'x-amz-security-token',
];
