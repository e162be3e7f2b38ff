import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { queueBody, queueListQuery } from '../queue-routes.ts';
import { nextCursor, queue } from './answers.ts';

const params = z.object({ name: z.string() });

export const queueOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/queues',
    id: 'queue.list',
    summary: 'Who is in progress and who waits, by concurrency key',
    query: queueListQuery,
    answers: { 200: { schema: z.object({ queues: z.array(queue), ...nextCursor }) } },
  },
  {
    method: 'get',
    path: '/v1/queues/{name}',
    id: 'queue.get',
    summary: 'A queue',
    params,
    answers: { 200: { schema: queue } },
  },
  {
    method: 'put',
    path: '/v1/queues/{name}',
    id: 'queue.put',
    summary: 'Sets its limit, or pauses it; what is left out stays',
    params,
    body: { schema: queueBody },
    answers: { 200: { schema: queue } },
  },
  ...['pause', 'resume'].map(
    (name): ApiOperation => ({
      method: 'post',
      path: `/v1/queues/{name}:${name}`,
      id: `queue.${name}`,
      summary: name === 'pause' ? 'Lets nobody begin' : 'Lets those who wait begin',
      params,
      answers: { 200: { schema: queue } },
    }),
  ),
];
