import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { GatewayError } from '../errors/gateway-error.ts';
import { readEtag } from '../http/etag.ts';
import type { TreeStore } from '../identity/tree-store.ts';
import { canonicalJson, digestOf } from '../json/canonical-json.ts';
import { parseJson } from '../json/parse-json.ts';
import type { AdminRoute } from './admin-route.ts';
import { absent, rolesOf } from './route-access.ts';

/** A request as its route reads it. */
export interface AdminRequest {
  readonly tenant: string;
  readonly params: Record<string, unknown>;
  readonly query: Record<string, unknown>;
  readonly body: unknown;
  readonly revision: number | undefined;
  readonly idempotencyKey: string | undefined;
  /** Equal for equal requests of one caller. */
  readonly digest: string;
}

const limits = { maxBytes: 256 * 1024, maxDepth: 16, maxNodes: 10_000 };
const none = z.object({});

/** The query of a route with what all routes take. */
export function querySchema(route: AdminRoute) {
  return (route.query ?? none).extend({
    organisation: z
      .string()
      .max(200)
      .optional()
      .describe('The organisation that is meant; the one of the key when left out.'),
  });
}

/**
 * Reads and checks everything that a route takes.
 *
 * @throws GatewayError invalid_request (`admin_request_invalid`), not_found (`admin_unknown`), precondition_required
 * (`if_match_required`), precondition_failed (`if_match_invalid`).
 */
export async function readRequest(
  route: AdminRoute,
  request: FastifyRequest,
  tree: Pick<TreeStore, 'find'>,
): Promise<AdminRequest> {
  const query = check('query', querySchema(route).strict(), request.query);
  const { organisation, ...rest } = query;
  const tenant = await tenantOf(request, organisation, tree);
  const text = Buffer.isBuffer(request.body) && request.body.length > 0 ? request.body : undefined;
  const body = text === undefined ? undefined : parseJson(text, route.bodyLimits ?? limits);
  return {
    tenant,
    params: check('path', route.params ?? none, request.params),
    query: rest,
    body: route.body === undefined ? undefined : check('body', route.body, body ?? {}),
    revision: revisionOf(route, request.headers['if-match']),
    idempotencyKey: route.changes === true ? singleHeader(request, 'idempotency-key') : undefined,
    digest: digestOf(
      canonicalJson([
        request.method,
        request.url,
        request.headers['if-match'] ?? null,
        (body ?? null) as null,
      ]),
    ),
  };
}

function check<Schema extends z.ZodType>(where: string, schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  const nul = pathOfNul(value);
  if (parsed.success && nul === undefined) return parsed.data;
  const found = parsed.error?.issues ?? [{ path: nul ?? [], message: 'no text may hold U+0000' }];
  const issues = found.slice(0, 20).map(issue => ({
    in: where,
    path: issue.path.join('.'),
    message: issue.message,
  }));
  const [first] = issues;
  throw new GatewayError(
    'invalid_request',
    `The ${where} of the request is not valid: ${first?.path ? `\`${first.path}\`: ` : ''}${first?.message ?? ''}`,
    { reason: 'admin_request_invalid', details: { issues }, ...(first?.path && { param: first.path }) },
  );
}

/** Where a text holds what not every store can: `['metadata', 'a']`. */
function pathOfNul(value: unknown, path: readonly string[] = []): readonly string[] | undefined {
  if (typeof value === 'string') return value.includes('\0') ? path : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const found = name.includes('\0') ? path : pathOfNul(member, [...path, name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Another organisation is there for keys of the installation only; for all others it is as absent as one that does not exist. */
async function tenantOf(
  { caller }: FastifyRequest,
  organisation: string | undefined,
  tree: Pick<TreeStore, 'find'>,
): Promise<string> {
  if (organisation === undefined || organisation === caller.tenant) return caller.tenant;
  const mayReach = caller.isAdmin && rolesOf(caller).length > 0;
  const found =
    mayReach && (await tree.find({ tenant: organisation, kind: 'organisation', id: organisation }));
  if (!found) throw absent('organisation');
  return organisation;
}

/** `If-Match` (RFC 9110 section 13.1.1): `"7"`, or `*` for whatever revision there is. */
function revisionOf(route: AdminRoute, header: string | undefined): number | undefined {
  if (header === undefined) {
    if (route.needsRevision !== true) return undefined;
    throw new GatewayError(
      'precondition_required',
      'Send `If-Match` with the ETag that you read, so that no change of somebody else is overwritten.',
      { reason: 'if_match_required', param: 'if-match' },
    );
  }
  const revision = readEtag(header);
  if (revision !== undefined) return revision === '*' ? undefined : revision;
  throw new GatewayError('precondition_failed', 'This `If-Match` is no ETag of this resource.', {
    reason: 'if_match_invalid',
    param: 'if-match',
  });
}

function singleHeader(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
