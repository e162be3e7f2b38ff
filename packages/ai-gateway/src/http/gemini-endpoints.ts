import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { gemini } from '../protocols/gemini/gemini.ts';
import { addModelEndpoint, type ModelEndpointDeps } from './model-endpoint.ts';
import type { StreamShape } from './stream-reply.ts';

const methods = new Set(['generateContent', 'streamGenerateContent']);

/** Gemini's two ways to ask, below both versions of its API. The model's name may hold slashes and colons. */
export function addGeminiEndpoints(app: FastifyInstance, deps: ModelEndpointDeps): void {
  for (const version of ['v1beta', 'v1']) {
    addModelEndpoint(
      app,
      {
        path: `/${version}/models/*`,
        protocol: gemini,
        queryKey: 'key',
        readPath: request => {
          const { model, method } = readModelPath(request);
          return { model, isStream: method === 'streamGenerateContent' };
        },
        reshape: request => (wantsSse(request) ? undefined : jsonArrayShape()),
      },
      deps,
    );
  }
}

function readModelPath(request: FastifyRequest): { model: string; method: string } {
  const path = (request.params as { '*': string })['*']; // the wildcard of this very path
  const colon = path.lastIndexOf(':');
  const method = path.slice(colon + 1);
  if (colon > 0 && methods.has(method)) return { model: path.slice(0, colon), method };
  throw new GatewayError('not_found', `'${method.slice(0, 64)}' is not a method of a model.`, {
    reason: 'unknown_route',
  });
}

function wantsSse(request: FastifyRequest): boolean {
  return (request.query as { alt?: unknown }).alt === 'sse';
}

/** Without `alt=sse` a stream is one JSON array that grows. */
function jsonArrayShape(): StreamShape {
  const scanner = new SseScanner();
  let count = 0;
  return {
    headers: { 'content-type': 'application/json', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' },
    heartbeat: '\n',
    write(bytes) {
      const chunk = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      const items = scanner.push(chunk).flatMap(frame => frame.dataBytes() ?? []);
      return items.map(item => `${count++ === 0 ? '[' : ',\r\n'}${item.toString('utf8')}`).join('');
    },
    end: () => (count === 0 ? '[]' : ']'),
  };
}
