import { createHash } from 'node:crypto';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { ArtifactRoom, ArtifactSummary, Artifacts } from '../domain/artifact.ts';
import { requireWorkflowScope } from '../domain/authority.ts';
import { checkFields } from './read-body.ts';

const caller = { access: 'caller' } as const;

/** What may be kept. It is given back as it came and never shown by a browser. */
export const artifactTypes = [
  'application/octet-stream',
  'application/json',
  'application/pdf',
  'application/xml',
  'application/yaml',
  'application/zip',
  'application/gzip',
  'text/plain',
  'text/markdown',
  'text/csv',
  'text/html',
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/svg+xml',
  'audio/mpeg',
  'audio/wav',
  'video/mp4',
];

export const artifactParams = z.object({
  hash: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected `sha256:` and 64 hexadecimal digits'),
});
export const artifactListQuery = z.strictObject({
  cursor: z.string().max(200).default(''),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export interface ArtifactDeps {
  readonly artifacts: Artifacts;
  readonly clock: Clock;
  readonly room: () => ArtifactRoom;
}

const anyWorkflow = { namespace: '*', name: '*' };

interface WithHash {
  Params: { hash: string };
}

/**
 * `/v1/artifacts`: bytes by their SHA-256. Whoever of the organisation knows it may have them; the list is for those who may use every workflow, and
 * they and whoever kept the bytes first may delete them.
 */
export function addArtifactRoutes(app: FastifyInstance, { artifacts, clock, room }: ArtifactDeps): void {
  app.post('/v1/artifacts', { config: { ...caller, mediaTypes: artifactTypes } }, async (request, reply) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const hash = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const { tenant, principal } = request.caller;
    const mediaType = request.headers['content-type'] ?? 'application/octet-stream';
    const artifact = {
      tenant,
      hash,
      mediaType,
      bytes: body.length,
      body,
      createdAtMs: clock.now(),
      principal,
    };
    const kept = await artifacts.put(artifact, room());
    if (kept === 'full') {
      throw new GatewayError('conflict', 'The organisation has as many artifacts as it may.', {
        reason: 'artifacts_full',
      });
    }
    return reply
      .code(kept.isNew ? 201 : 200)
      .header('location', `/v1/artifacts/${hash}`)
      .send(show(kept.artifact));
  });

  app.get<WithHash>('/v1/artifacts/:hash', { config: caller }, async (request, reply) => {
    const found = await artifacts.get(request.caller.tenant, hashOf(request));
    if (found === undefined) throw absent();
    return reply
      .header('content-type', found.mediaType)
      .header('content-disposition', 'attachment')
      .header('x-content-type-options', 'nosniff')
      .header('etag', `"${found.hash}"`)
      .send(Buffer.from(found.body));
  });

  app.delete<WithHash>('/v1/artifacts/:hash', { config: caller }, async (request, reply) => {
    const hash = hashOf(request);
    const { tenant, principal } = request.caller;
    const found = await artifacts.find(tenant, hash);
    if (found === undefined) throw absent();
    if (found.principal !== principal) requireWorkflowScope(request.caller, anyWorkflow);
    if (!(await artifacts.delete(tenant, hash))) throw absent();
    return reply.code(204).send();
  });

  app.get('/v1/artifacts', { config: caller }, async request => {
    requireWorkflowScope(request.caller, anyWorkflow);
    const { cursor, limit } = checkFields(request.query, artifactListQuery);
    const page = await artifacts.list({ tenant: request.caller.tenant, after: cursor, limit });
    const last = page.length === limit ? page.at(-1) : undefined;
    return { artifacts: page.map(show), ...(last !== undefined && { next_cursor: last.hash }) };
  });
}

const hashOf = (request: FastifyRequest) => checkFields(request.params, artifactParams).hash;

function absent(): GatewayError {
  return new GatewayError('not_found', 'There is no such artifact.', { reason: 'artifact_not_found' });
}

function show({ hash, mediaType, bytes, createdAtMs, principal }: ArtifactSummary) {
  return { hash, media_type: mediaType, bytes, principal, created_at: new Date(createdAtMs).toISOString() };
}
