import * as z from 'zod';
import { milliseconds } from './milliseconds.ts';

const mebibyte = 1024 * 1024;

/** Where a gateway listens and the limits of its HTTP server. */
export function listenSchema(defaults: {
  readonly port: number;
  /** For a gateway whose clients keep streams open: each is a connection and a request in flight. */
  readonly maxConnections?: number;
  readonly maxRequestsInFlight?: number;
}) {
  return z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address to listen on; loopback unless set. At start.'),
      port: z
        .number()
        .int()
        .min(0)
        .max(65535)
        .default(defaults.port)
        .describe('Port to listen on; 0 takes a free one. At start.'),
      allowed_hosts: z
        .array(z.string().min(1))
        .default([])
        .describe(
          'Host names (without port) that requests may name in `Host`. Empty: on loopback only loopback names, elsewhere any. At start.',
        ),
      max_body_bytes: z
        .number()
        .int()
        .min(1024)
        .default(25 * mebibyte)
        .describe('Largest request body. At start.'),
      max_connections: z
        .number()
        .int()
        .min(1)
        .default(defaults.maxConnections ?? 10_000)
        .describe('Connections at a time; more are closed at once. At start.'),
      max_requests_in_flight: z
        .number()
        .int()
        .min(1)
        .default(defaults.maxRequestsInFlight ?? 5000)
        .describe('Requests at a time; more are answered 503. At start.'),
      headers_timeout_ms: milliseconds(15_000).describe('Time for a client to send its headers. At start.'),
      request_timeout_ms: milliseconds(120_000).describe(
        'Time for a client to send a whole request. At start.',
      ),
      keep_alive_timeout_ms: milliseconds(75_000).describe(
        'How long an idle connection stays open. At start.',
      ),
      idle_timeout_ms: milliseconds(900_000).describe(
        'How long a connection may be silent in the middle of an answer. At start.',
      ),
      drain_timeout_ms: milliseconds(30_000).describe(
        'Time for open requests to finish after SIGTERM. At start.',
      ),
      max_event_loop_delay_ms: milliseconds(2000).describe(
        'Mean event-loop delay from which new requests are answered 503. At start.',
      ),
      max_heap_ratio: z
        .number()
        .min(0.1)
        .max(1)
        .default(0.92)
        .describe('Share of the heap limit from which new requests are answered 503. At start.'),
    })
    .prefault({})
    .describe('Where the gateway listens, and its limits.');
}

export type ServerConfig = ReturnType<ReturnType<typeof listenSchema>['parse']>;
