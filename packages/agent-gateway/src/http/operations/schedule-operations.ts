import type { ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { backfillBody, scheduleBody, scheduleListQuery } from '../schedule-routes.ts';
import { nextCursor, schedule } from './answers.ts';

const params = z.object({ name: z.string() });
const noBody = z.strictObject({});
const started = { 200: { schema: z.object({ runs: z.array(z.string()) }) } };

export const scheduleOperations: readonly ApiOperation[] = [
  {
    method: 'get',
    path: '/v1/schedules',
    id: 'schedule.list',
    summary: 'Schedules, by name',
    query: scheduleListQuery,
    answers: { 200: { schema: z.object({ schedules: z.array(schedule), ...nextCursor }) } },
  },
  {
    method: 'put',
    path: '/v1/schedules/{name}',
    id: 'schedule.put',
    summary: 'Creates or replaces it',
    params,
    body: { schema: scheduleBody },
    answers: { 200: { schema: schedule }, 201: { schema: schedule } },
  },
  {
    method: 'get',
    path: '/v1/schedules/{name}',
    id: 'schedule.get',
    summary: 'A schedule',
    params,
    answers: { 200: { schema: schedule } },
  },
  {
    method: 'delete',
    path: '/v1/schedules/{name}',
    id: 'schedule.delete',
    summary: 'Starts nothing any more; its runs go on',
    params,
    answers: { 204: undefined },
  },
  verb('pause', 'Starts nothing until it is resumed', noBody, { 200: { schema: schedule } }),
  verb('resume', 'Goes on with the next due time', noBody, { 200: { schema: schedule } }),
  verb('trigger', 'Starts a run now', noBody, started),
  verb('backfill', 'Starts the runs of a span in the past', backfillBody, started),
];

function verb(
  name: string,
  summary: string,
  schema: z.ZodType,
  answers: ApiOperation['answers'],
): ApiOperation {
  return {
    method: 'post',
    path: `/v1/schedules/{name}:${name}`,
    id: `schedule.${name}`,
    summary,
    params,
    body: { schema },
    answers,
  };
}
