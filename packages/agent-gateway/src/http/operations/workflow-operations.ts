import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { definitionMediaTypes } from '../read-body.ts';
import { workflowListQuery } from '../workflow-routes.ts';
import { nextCursor, workflow } from './answers.ts';

const params = z.object({ namespace: z.string(), name: z.string(), version: z.string() });
const document = {
  schema: z.looseObject({}).describe('A document of Serverless Workflow 1.0.3.'),
  types: definitionMediaTypes,
};
const mermaid = { textTypes: ['text/vnd.mermaid'] };
const versioned = '/v1/workflows/{namespace}/{name}/{version}';

export const workflowOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/workflows',
    id: 'workflow.list',
    summary: 'Stored workflows, by name and version',
    query: workflowListQuery,
    answers: { 200: { schema: z.object({ workflows: z.array(workflow), ...nextCursor }) } },
  },
  {
    method: 'put',
    path: versioned,
    id: 'workflow.put',
    summary: 'Stores a version, which never changes afterwards',
    params,
    body: document,
    answers: { 200: { schema: workflow }, 201: { schema: workflow } },
  },
  {
    method: 'get',
    path: versioned,
    id: 'workflow.get',
    summary: 'A version with its document',
    params,
    answers: { 200: { schema: workflow.extend({ document: z.looseObject({}) }) } },
  },
  {
    method: 'delete',
    path: versioned,
    id: 'workflow.delete',
    summary: 'Removes a version of which there are no runs',
    params,
    answers: { 204: undefined },
  },
  {
    method: 'get',
    path: `${versioned}:graph`,
    id: 'workflow.graph',
    summary: 'Its flow as a Mermaid chart',
    params,
    answers: { 200: mermaid },
  },
  {
    method: 'post',
    path: '/v1/workflows:validate',
    id: 'workflow.validate',
    summary: 'Says everything that is wrong with a document; stores nothing',
    body: document,
    answers: {
      200: {
        schema: z.object({
          valid: z.literal(true),
          namespace: z.string(),
          name: z.string(),
          version: z.string(),
          definition: z.string(),
          tasks: z.int(),
        }),
      },
    },
  },
  {
    method: 'post',
    path: '/v1/workflows:graph',
    id: 'workflow.draw',
    summary: 'Draws a document',
    body: document,
    answers: { 200: mermaid },
  },
];
