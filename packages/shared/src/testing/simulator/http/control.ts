import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import type { FaultBook } from '../faults.ts';
import type { RecordedRequest, Records } from './records.ts';

/** Where other processes look into the simulator: everything below this path is ours, not a vendor's. */
export const controlBase = '/_simulator';

const ruleSchema = z.strictObject({
  match: z
    .strictObject({
      protocol: z.string().optional(),
      model: z.string().optional(),
      path_includes: z.string().optional(),
      body_includes: z.string().optional(),
    })
    .default({}),
  fault: z.string().min(1),
  times: z.int().min(1).optional(),
});

interface ControlDeps {
  readonly records: Records;
  readonly faults: FaultBook;
  /** Forgets requests, bills, rules, stored answers and the prompt cache. */
  reset(): void;
}

/** Answers `GET requests | meter | faults | health`, `POST faults | reset` and `DELETE faults`. */
export function control(
  incoming: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly body: Buffer },
  deps: ControlDeps,
): void {
  const { request, response } = incoming;
  const [path = '', query = ''] = (request.url ?? '').slice(controlBase.length).split('?');
  switch (`${request.method} ${path}`) {
    case 'GET /health':
      send(response, 200, { status: 'ok' });
      break;
    case 'GET /requests':
      send(response, 200, { requests: lastOf(deps.records.requests, query).map(describe) });
      break;
    case 'GET /meter':
      send(response, 200, deps.records.snapshot());
      break;
    case 'GET /faults':
      send(response, 200, { faults: deps.faults.list() });
      break;
    case 'POST /faults':
      addRule(response, incoming.body, deps.faults);
      break;
    case 'DELETE /faults':
      deps.faults.clear();
      send(response, 200, { faults: [] });
      break;
    case 'POST /reset':
      deps.reset();
      send(response, 200, {});
      break;
    default:
      send(response, 404, { error: `There is no ${request.method} ${controlBase}${path}.` });
  }
}

function addRule(response: ServerResponse, body: Buffer, faults: FaultBook): void {
  let rule: z.output<typeof ruleSchema>;
  try {
    rule = ruleSchema.parse(JSON.parse(body.toString()));
    const { protocol, model, path_includes, body_includes } = rule.match;
    const match = { protocol, model, pathIncludes: path_includes, bodyIncludes: body_includes };
    const id = faults.add(match, rule.fault, rule.times);
    send(response, 201, { id });
  } catch (error) {
    send(response, 400, { error: (error as Error).message });
  }
}

/** `?limit=n`: the newest n; 100 unless told. */
function lastOf(requests: readonly RecordedRequest[], query: string): readonly RecordedRequest[] {
  const limit = Number(new URLSearchParams(query).get('limit') ?? 100);
  return Number.isInteger(limit) && limit > 0 ? requests.slice(-limit) : [];
}

/** A record as JSON: the body as it parses, or as text. */
function describe(request: RecordedRequest): Record<string, unknown> {
  const { body, json: _json, ...rest } = request;
  const text = body.toString();
  try {
    return { ...rest, body: text === '' ? null : JSON.parse(text) };
  } catch {
    return { ...rest, body: text };
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
