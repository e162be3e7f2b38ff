import { type ApiOperation, openApiDocument } from '@strata/shared/http/openapi-document.ts';
import type { FastifyInstance } from 'fastify';
import { approvalOperations } from './operations/approval-operations.ts';
import { queueOperations } from './operations/queue-operations.ts';
import { runOperations } from './operations/run-operations.ts';
import { scheduleOperations } from './operations/schedule-operations.ts';
import { storeOperations } from './operations/store-operations.ts';
import { threadOperations } from './operations/thread-operations.ts';
import { webhookOperations } from './operations/webhook-operations.ts';
import { workflowOperations } from './operations/workflow-operations.ts';

export const operations: readonly ApiOperation[] = [
  ...runOperations,
  ...workflowOperations,
  ...scheduleOperations,
  ...approvalOperations,
  ...queueOperations,
  ...webhookOperations,
  ...storeOperations,
  ...threadOperations,
];

/** `GET /v1/openapi.json`: every route of `/v1`, from the schemas that read its requests. */
export function addDocumentRoutes(app: FastifyInstance): void {
  const document = JSON.stringify(
    openApiDocument(operations, { title: 'Strata agent-gateway', key: 'A Strata key.' }),
  );
  app.get('/v1/openapi.json', { config: { access: 'caller' } }, (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(document),
  );
}
