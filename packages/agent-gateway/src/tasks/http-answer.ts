import * as z from 'zod';
import { runError } from '../domain/run-error.ts';
import type { Move } from '../domain/task-type.ts';
import type { InDoubtPolicy, TaskNode } from '../domain/workflow.ts';
import type { HttpCallResult } from './call-http/http-call.ts';

/** What a task gives of an answer: its bytes in base64, its content, or all of it. */
export const httpOutput = z.enum(['raw', 'content', 'response']).default('content');
export type HttpOutput = z.output<typeof httpOutput>;

/** RFC 9110 section 9.2.1: asking again changes nothing. PUT and DELETE are idempotent by the letter and often not in fact. */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

export function inDoubtOfMethod(method: string): InDoubtPolicy {
  return safeMethods.has(method) ? 'retry' : 'park';
}

/** How a task ends with the answer to its request. */
export function moveOfAnswer(
  answer: HttpCallResult,
  {
    node,
    request,
    output,
  }: {
    readonly node: TaskNode;
    readonly request: {
      readonly method: string;
      readonly uri: string;
      readonly headers: Readonly<Record<string, string>>;
    };
    readonly output: HttpOutput;
  },
): Move {
  const { method, uri, headers } = request;
  if (answer.isProblem) {
    return {
      type: 'fail',
      error: runError('communication', {
        status: answer.status,
        detail: `${method} ${withoutQuery(uri)} answered ${answer.status}.`,
        instance: node.path,
        reason: 'http_call_refused',
      }),
    };
  }
  if (output !== 'response') return { type: 'complete', output: answer.content };
  const whole = {
    request: { method, uri, headers },
    statusCode: answer.status,
    headers: answer.headers,
    content: answer.content,
  };
  return { type: 'complete', output: whole };
}

export const withoutQuery = (uri: string) => uri.split('?', 1)[0] ?? '';
