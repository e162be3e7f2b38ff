import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { deadQuery, webhookBody, webhookChangeBody, webhookListQuery } from '../webhook-routes.ts';
import { deadLetter, nextCursor, webhook, webhookWithSecret } from './answers.ts';

const params = z.object({ id: z.string() });
const noBody = z.strictObject({});

export const webhookOperations: readonly ApiOperation[] = [
  {
    method: 'post',
    path: '/v1/webhooks',
    id: 'webhook.create',
    summary: 'Has an address told what runs do; the secret is shown this once',
    body: { schema: webhookBody },
    answers: { 201: { schema: webhookWithSecret } },
  },
  {
    method: 'get',
    path: '/v1/webhooks',
    id: 'webhook.list',
    summary: 'Webhooks of the caller, or of the organisation for those who run it',
    query: webhookListQuery,
    answers: { 200: { schema: z.object({ webhooks: z.array(webhook), ...nextCursor }) } },
  },
  {
    method: 'get',
    path: '/v1/webhooks/{id}',
    id: 'webhook.get',
    summary: 'A webhook, and how it goes with it',
    params,
    answers: { 200: { schema: webhook } },
  },
  {
    method: 'patch',
    path: '/v1/webhooks/{id}',
    id: 'webhook.change',
    summary: 'Changes what is given',
    params,
    body: { schema: webhookChangeBody },
    answers: { 200: { schema: webhook } },
  },
  {
    method: 'delete',
    path: '/v1/webhooks/{id}',
    id: 'webhook.delete',
    summary: 'Tells it nothing any more, what waits included',
    params,
    answers: { 204: undefined },
  },
  {
    method: 'get',
    path: '/v1/webhooks/{id}/dead-letters',
    id: 'webhook.dead_letters',
    summary: 'Events that were put aside after their last attempt',
    params,
    query: deadQuery,
    answers: { 200: { schema: z.object({ dead_letters: z.array(deadLetter), ...nextCursor }) } },
  },
  verb('pause', 'Sends it nothing until it is resumed', webhook),
  verb('resume', 'Sends it what has waited', webhook),
  verb('rotate', 'Gives a new secret; the one before signs too for a day', webhookWithSecret),
  verb('redeliver', 'Sends again what was put aside', z.object({ redelivered: z.int() })),
];

function verb(name: string, summary: string, schema: z.ZodType): ApiOperation {
  return {
    method: 'post',
    path: `/v1/webhooks/{id}:${name}`,
    id: `webhook.${name}`,
    summary,
    params,
    body: { schema: noBody },
    answers: { 200: { schema } },
  };
}
