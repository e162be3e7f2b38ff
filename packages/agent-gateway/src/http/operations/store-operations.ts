import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { artifactListQuery, artifactParams, artifactTypes } from '../artifact-routes.ts';
import { itemBody, itemListQuery, itemParams } from '../store-routes.ts';
import { moment, nextCursor } from './answers.ts';
import { ifMatch, ifNoneMatch } from './precondition-headers.ts';

const itemSummary = z.object({
  namespace: z.string(),
  key: z.string(),
  revision: z.int().describe('Rises with every change: the ETag.'),
  principal: z.string().describe('Who wrote it last.'),
  created_at: moment,
  updated_at: moment,
  expires_at: moment.optional(),
});
const item = itemSummary.extend({ value: z.unknown() });
const artifact = z.object({
  hash: z.string(),
  media_type: z.string(),
  bytes: z.int(),
  principal: z.string(),
  created_at: moment,
});

export const storeOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/store',
    id: 'item.list',
    summary: 'What is kept, without the values, by namespace and key',
    query: itemListQuery,
    answers: { 200: { schema: z.object({ items: z.array(itemSummary), ...nextCursor }) } },
  },
  {
    method: 'put',
    path: '/v1/store/{namespace}/{key}',
    id: 'item.put',
    summary: 'Keeps a value',
    params: itemParams,
    headers: [ifMatch, ifNoneMatch],
    body: { schema: itemBody },
    answers: { 200: { schema: item }, 201: { schema: item } },
  },
  {
    method: 'get',
    path: '/v1/store/{namespace}/{key}',
    id: 'item.get',
    summary: 'A value',
    params: itemParams,
    answers: { 200: { schema: item } },
  },
  {
    method: 'delete',
    path: '/v1/store/{namespace}/{key}',
    id: 'item.delete',
    summary: 'Removes a value',
    params: itemParams,
    headers: [ifMatch],
    answers: { 204: undefined },
  },
  {
    method: 'get',
    path: '/v1/artifacts',
    id: 'artifact.list',
    summary: 'Bytes that are kept, by hash',
    query: artifactListQuery,
    answers: { 200: { schema: z.object({ artifacts: z.array(artifact), ...nextCursor }) } },
  },
  {
    method: 'post',
    path: '/v1/artifacts',
    id: 'artifact.put',
    summary: 'Keeps bytes under their SHA-256, once',
    body: { textTypes: artifactTypes },
    answers: { 200: { schema: artifact }, 201: { schema: artifact } },
  },
  {
    method: 'get',
    path: '/v1/artifacts/{hash}',
    id: 'artifact.get',
    summary: 'The bytes, as they came',
    params: artifactParams,
    answers: { 200: { textTypes: artifactTypes } },
  },
  {
    method: 'delete',
    path: '/v1/artifacts/{hash}',
    id: 'artifact.delete',
    summary: 'Removes the bytes',
    params: artifactParams,
    answers: { 204: undefined },
  },
];
