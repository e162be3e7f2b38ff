import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { PathRequest } from '../domain/protocol.ts';
import { gemini } from '../protocols/gemini/gemini.ts';
import { asObject, parseObject, without } from '../protocols/read-json.ts';
import { type CountEndpointDeps, countHandler } from './count-endpoint.ts';
import {
  type DirectServer,
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelHandler,
  modelRoute,
} from './model-endpoint.ts';
import type { StreamShape } from './stream-reply.ts';

const answering = new Set(['generateContent', 'streamGenerateContent']);

/** Gemini's ways to ask and to count, below both versions of its API. The model's name may hold slashes and colons. */
export function addGeminiEndpoints(server: DirectServer, deps: CountEndpointDeps & ModelEndpointDeps): void {
  for (const version of ['v1beta', 'v1']) {
    const path = `/${version}/models/*`;
    const asked: ModelEndpoint = {
      path,
      protocol: gemini,
      queryKey: 'key',
      readPath: request => {
        const { model, method } = readModelPath(request);
        return { model, isStream: method === 'streamGenerateContent' };
      },
      reshape: request => (wantsSse(request) ? undefined : jsonArrayShape()),
    };
    const counted = { path, protocol: gemini, prepare: unwrapCount, readPath: pathToCount };
    const answer = modelHandler(asked, deps);
    const count = countHandler(counted, deps);
    server.addDirect({
      ...modelRoute(asked),
      handle: async request =>
        readModelPath(request).method === 'countTokens' ? count(request) : answer(request),
    });
  }
}

function readModelPath(request: DirectRequest): { model: string; method: string } {
  const { '*': path = '' } = request.params;
  const colon = path.lastIndexOf(':');
  const method = path.slice(colon + 1);
  if (colon > 0 && (answering.has(method) || method === 'countTokens'))
    return { model: path.slice(0, colon), method };
  throw new GatewayError('not_found', `'${method.slice(0, 64)}' is not a method of a model.`, {
    reason: 'unknown_route',
  });
}

function pathToCount(request: DirectRequest): PathRequest {
  return { model: readModelPath(request).model, isStream: false };
}

/** What is counted is either bare contents or a whole request in a member of its own, whose model the path names. */
async function unwrapCount(body: Buffer): Promise<Buffer> {
  const written = parseObject(body);
  const whole = asObject(written?.generateContentRequest ?? written?.generate_content_request);
  return whole === undefined ? body : Buffer.from(JSON.stringify(without(whole, new Set(['model']))));
}

function wantsSse(request: DirectRequest): boolean {
  return request.query.alt === 'sse';
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
