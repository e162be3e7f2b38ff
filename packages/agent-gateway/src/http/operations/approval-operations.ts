import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { approvalListQuery, decideBody } from '../approval-routes.ts';
import { approval, nextCursor } from './answers.ts';

const params = z.object({ id: z.string() });

export const approvalOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/approvals',
    id: 'approval.list',
    summary: 'What the caller is asked',
    query: approvalListQuery,
    answers: { 200: { schema: z.object({ approvals: z.array(approval), ...nextCursor }) } },
  },
  {
    method: 'get',
    path: '/v1/approvals/{id}',
    id: 'approval.get',
    summary: 'A question with its content, form and digest',
    params,
    answers: { 200: { schema: approval } },
  },
  {
    method: 'post',
    path: '/v1/approvals/{id}:decide',
    id: 'approval.decide',
    summary: 'Decides once, about exactly the content of the digest',
    params,
    body: { schema: decideBody },
    answers: { 200: { schema: approval } },
  },
];
