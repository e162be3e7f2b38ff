import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest, DirectRoute } from '@strata/shared/http/direct-request.ts';
import { openOwnFrames } from '../domain/own-frames.ts';
import { gemini } from '../protocols/gemini/gemini.ts';
import { passedMethods } from '../protocols/gemini/passed-methods.ts';
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

/** Below both versions of the Gemini API, and as Vertex AI has them, with a project or with none. */
const paths = [
  '/v1beta/models/*',
  '/v1/models/*',
  ...['v1beta1', 'v1'].flatMap(version => [
    `/${version}/publishers/google/models/*`,
    `/${version}/projects/:project/locations/:location/publishers/google/models/*`,
  ]),
];

/** What may be asked of a model by Gemini's clients. The model's name may hold slashes and colons. */
export function addGeminiEndpoints(server: DirectServer, deps: CountEndpointDeps & ModelEndpointDeps): void {
  for (const path of paths) {
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
    const answer = modelHandler(asked, deps);
    const handlers = new Map<string, DirectRoute['handle']>([
      ['generateContent', answer],
      ['streamGenerateContent', answer],
      ['countTokens', countHandler({ ...asked, prepare: unwrapCount }, deps)],
    ]);
    for (const [method, protocol] of passedMethods)
      handlers.set(method, modelHandler({ ...asked, protocol }, deps));
    server.addDirect({
      ...modelRoute(asked),
      async handle(request) {
        const { method } = readModelPath(request);
        const handle = handlers.get(method);
        if (handle === undefined) throw unknownMethod(method);
        await handle(request);
      },
    });
  }
}

function readModelPath(request: DirectRequest): { model: string; method: string } {
  const { '*': path = '' } = request.params;
  const colon = path.lastIndexOf(':');
  if (colon <= 0) throw unknownMethod(path);
  return { model: path.slice(0, colon), method: path.slice(colon + 1) };
}

function unknownMethod(method: string): GatewayError {
  return new GatewayError('not_found', `'${method.slice(0, 64)}' is not a method of a model.`, {
    reason: 'unknown_route',
  });
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
  const scanner = openOwnFrames();
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
