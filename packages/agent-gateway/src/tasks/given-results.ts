import * as z from 'zod';
import { toolResultSchema } from '../agents/tools.ts';
import type { GivenResults } from '../domain/given-results.ts';
import type { HttpCallResult } from './call-http/http-call.ts';
import type { OpenapiCallResult } from './call-openapi/openapi-call.ts';

const answer = z
  .strictObject({
    status: z.int().min(100).max(599).default(200),
    isProblem: z.boolean().optional(),
    headers: z.record(z.string(), z.string()).default({}),
    content: z.unknown(),
  })
  .transform(
    ({ status, isProblem = status >= 400, headers, content }): HttpCallResult => ({
      status,
      isProblem,
      headers,
      content: content ?? null,
    }),
  );

/** Of every effect whose calls may have to wait for somebody to say how they ended. */
export const givenResults: GivenResults = {
  http: answer,
  openapi: answer.transform((of): OpenapiCallResult => ({ method: '', uri: '', headers: {}, answer: of })),
  mcp: toolResultSchema,
};
