import type { ApiHeader, ApiOperation } from '@strata/shared/http/openapi-document.ts';
import * as z from 'zod';
import { runExportSchema } from '../../domain/run-export.ts';
import { eventStreamQuery } from '../event-routes.ts';
import { exportQuery } from '../export-routes.ts';
import { forkBody } from '../fork-run.ts';
import { migrateBody, migrateQuery } from '../migrate-run.ts';
import { definitionMediaTypes } from '../read-body.ts';
import { batchType, eventBatch, eventSchema, plainDataTypes, structuredTypes } from '../read-cloud-event.ts';
import { runListQuery } from '../run-list-routes.ts';
import { submitQuery } from '../run-routes.ts';
import { reasonBody, resolveBody, resumeBody, rewindBody, signalBody } from '../run-verbs.ts';
import { submissionBody } from '../submission.ts';
import { cost, migration, nextCursor, run, runSummary, tasks, timeline } from './answers.ts';

const params = z.object({ id: z.string() });
const idempotencyKey: ApiHeader = {
  name: 'Idempotency-Key',
  isRequired: false,
  description: 'Sent again with the same key, it is the same run.',
};
/** A run that has ended, and one that goes on. */
const runAnswers = { 200: { schema: run }, 202: { schema: run } };
const definitionBody = (schema: z.ZodType) => ({ schema, types: definitionMediaTypes });

const publishedEvent = z.object({ id: z.string(), source: z.string() });

export const runOperations: readonly ApiOperation[] = [
  {
    method: 'post',
    path: '/v1/runs',
    id: 'run.submit',
    summary: 'Starts a run of a stored workflow or of a document',
    query: submitQuery,
    headers: [idempotencyKey],
    body: definitionBody(submissionBody),
    answers: runAnswers,
  },
  {
    method: 'get',
    path: '/v1/runs',
    id: 'run.list',
    summary: 'Runs, the newest first',
    query: runListQuery,
    answers: { 200: { schema: z.object({ runs: z.array(runSummary), ...nextCursor }) } },
  },
  {
    method: 'get',
    path: '/v1/runs/{id}',
    id: 'run.get',
    summary: 'A run with its input, output, pause and what is in doubt',
    params,
    answers: { 200: { schema: run } },
  },
  verb('cancel', 'Calls its tasks off and undoes what it did', reasonBody),
  verb('terminate', 'Ends it at once; nothing is undone', reasonBody),
  verb('pause', 'Begins nothing new until it is resumed', reasonBody),
  verb(
    'resume',
    'Goes on, with higher limits if they are given; `cost_usd` takes the role owner or operator',
    resumeBody,
  ),
  verb('resolve', 'Says what became of a call that is in doubt', resolveBody),
  verb('retry', 'A failed run goes on from its failed tasks', z.strictObject({})),
  verb('rewind', 'A run that has ended goes on from before a task', rewindBody),
  {
    ...verb('fork', 'A new run that begins with what this one has recorded before a task', forkBody),
    headers: [idempotencyKey],
    body: definitionBody(forkBody),
  },
  {
    ...verb('migrate', 'Goes on under another version of its definition', migrateBody),
    query: migrateQuery,
    body: definitionBody(migrateBody),
    answers: { 200: { schema: z.union([run, migration]) }, 202: { schema: run } },
  },
  {
    method: 'post',
    path: '/v1/runs/{id}:export',
    id: 'run.export',
    summary: 'Ends it here, with all that it needs to go on where it is imported',
    params,
    answers: { 200: { schema: runExportSchema } },
  },
  {
    method: 'get',
    path: '/v1/runs/{id}/export',
    id: 'run.copy',
    summary: 'All that it has recorded, to be read',
    params,
    query: exportQuery,
    answers: { 200: { schema: runExportSchema } },
  },
  {
    method: 'post',
    path: '/v1/runs:import',
    id: 'run.import',
    summary: 'Takes in a run that was exported, once',
    body: { schema: runExportSchema },
    answers: { 200: { schema: runSummary }, 201: { schema: runSummary } },
  },
  {
    method: 'post',
    path: '/v1/runs/{id}/signals/{name}',
    id: 'run.signal',
    summary: 'Sends a signal, which is kept until the run takes it',
    params: z.object({ id: z.string(), name: z.string() }),
    body: { schema: signalBody },
    answers: { 202: { schema: z.object({ run: z.string(), signal: z.string(), id: z.string() }) } },
  },
  {
    method: 'get',
    path: '/v1/runs/{id}/events',
    id: 'run.events',
    summary: 'The journal as server-sent events, each with its sequence number as id',
    params,
    query: eventStreamQuery,
    headers: [
      {
        name: 'Last-Event-ID',
        isRequired: false,
        description: 'The last event that was seen; the rest follows.',
      },
    ],
    answers: { 200: { textTypes: ['text/event-stream'] }, 204: undefined },
  },
  view('timeline', 'Tasks, model calls, tool calls, decisions and child runs with time and cost', timeline),
  view('tasks', 'Its tasks, every visit', tasks),
  view('cost', 'What it cost, by task, and of a fork against the other run', cost),
  {
    method: 'post',
    path: '/v1/events',
    id: 'event.publish',
    summary:
      'Publishes a CloudEvent to every run that listens to its type: as JSON, alone or in a batch, or its attributes as `ce-` headers and its data as the body',
    body: {
      schema: z.union([eventSchema, eventBatch]),
      types: [...structuredTypes, batchType],
      textTypes: plainDataTypes,
    },
    answers: {
      202: { schema: z.union([publishedEvent, z.object({ events: z.array(publishedEvent) })]) },
    },
  },
];

function verb(name: string, summary: string, schema: z.ZodType): ApiOperation {
  return {
    method: 'post',
    path: `/v1/runs/{id}:${name}`,
    id: `run.${name}`,
    summary,
    params,
    body: { schema },
    answers: runAnswers,
  };
}

function view(name: string, summary: string, schema: z.ZodType): ApiOperation {
  return {
    method: 'get',
    path: `/v1/runs/{id}/${name}`,
    id: `run.${name}`,
    summary,
    params,
    answers: { 200: { schema } },
  };
}
