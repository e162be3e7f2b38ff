import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { threadBody, threadChangeBody, threadListQuery } from '../thread-routes.ts';
import { moment, nextCursor, runSummary } from './answers.ts';
import { ifMatch } from './precondition-headers.ts';

const params = z.object({ id: z.string() });
const threadSummary = z.object({
  id: z.string(),
  namespace: z.string(),
  revision: z.int().describe('Rises with every change: the ETag.'),
  status: z.enum(['idle', 'busy']),
  run: z.string().optional().describe('The run that goes on in it.'),
  principal: z.string(),
  created_at: moment,
  updated_at: moment,
});
const thread = threadSummary.extend({
  metadata: z.record(z.string(), z.unknown()),
  context: z.unknown().describe('What its next run begins with as `$context`.'),
});

export const threadOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/threads',
    id: 'thread.list',
    summary: 'Threads without what is in them, the oldest first',
    query: threadListQuery,
    answers: { 200: { schema: z.object({ threads: z.array(threadSummary), ...nextCursor }) } },
  },
  {
    method: 'post',
    path: '/v1/threads',
    id: 'thread.create',
    summary: 'A thread, whose runs follow one another and share a context',
    body: { schema: threadBody },
    answers: { 201: { schema: thread } },
  },
  {
    method: 'get',
    path: '/v1/threads/{id}',
    id: 'thread.get',
    summary: 'A thread with its context',
    params,
    answers: { 200: { schema: thread } },
  },
  {
    method: 'patch',
    path: '/v1/threads/{id}',
    id: 'thread.change',
    summary: 'Changes what is given; the context only while no run goes on in it',
    params,
    headers: [ifMatch],
    body: { schema: threadChangeBody },
    answers: { 200: { schema: thread } },
  },
  {
    method: 'delete',
    path: '/v1/threads/{id}',
    id: 'thread.delete',
    summary: 'Removes it; its runs stay',
    params,
    headers: [ifMatch],
    answers: { 204: undefined },
  },
  {
    method: 'get',
    path: '/v1/threads/{id}/runs',
    id: 'thread.runs',
    summary: 'Its last hundred runs, the newest first',
    params,
    answers: { 200: { schema: z.object({ runs: z.array(runSummary) }) } },
  },
];
