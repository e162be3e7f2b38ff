import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { createDeadline } from '@strata/shared/resilience/deadline.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Answer, Call } from '../domain/call.ts';
import type { Protocol } from '../domain/protocol.ts';
import { findRoute, type RouteTable, targetsSpeaking } from '../domain/route.ts';
import { refuseOverrideHeaders } from '../domain/upstream-overrides.ts';
import { sendStream } from './stream-reply.ts';

export interface ModelEndpointDeps {
  readonly clock: Clock;
  /** The routes in force. Read once a request. */
  routes(): RouteTable;
  answer(call: Call): Promise<Answer>;
}

/** One endpoint that takes requests of one protocol and answers in it. */
export function addModelEndpoint(
  app: FastifyInstance,
  endpoint: { path: string; protocol: Protocol },
  deps: ModelEndpointDeps,
): void {
  const { path, protocol } = endpoint;
  app.post(path, { config: { access: 'caller', errors: protocol.renderError } }, async (request, reply) => {
    const call = openCall(request, reply, protocol, deps);
    let answer: Answer;
    try {
      answer = await deps.answer(call);
    } catch (error) {
      throw refused(reply, call, error);
    }
    return send(reply, answer, deps.clock);
  });
}

function openCall(
  request: FastifyRequest,
  reply: FastifyReply,
  protocol: Protocol,
  deps: ModelEndpointDeps,
): Call {
  const { headers, caller } = request;
  refuseOverrideHeaders(headers);
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const modelRequest = protocol.readRequest(body);
  const route = findRoute(deps.routes(), modelRequest.model, caller.scopes.models);
  return {
    requestId: request.id,
    caller,
    protocol,
    request: modelRequest,
    headers,
    route,
    targets: targetsSpeaking(route, protocol.name),
    signal: endOf(request, reply, deps.clock),
    trace: request.traceContext,
    wantsCostComment: headers['x-strata-usage'] === 'comment',
    failures: [],
  };
}

/** Ends with the client, and no later than the deadline that the envelope of another gateway sets. */
function endOf(request: FastifyRequest, reply: FastifyReply, clock: Clock): AbortSignal {
  const deadlineAtMs = request.caller.envelope?.deadlineAtMs;
  if (deadlineAtMs === undefined) return request.gone;
  const ms = deadlineAtMs - clock.now();
  if (ms <= 0) {
    throw new GatewayError('timeout', 'The deadline of this call had passed when it came.', {
      reason: 'deadline_passed',
    });
  }
  const deadline = createDeadline({ clock, ms, reason: 'deadline_passed', parent: request.gone });
  reply.raw.once('close', () => deadline.close());
  return deadline.signal;
}

function send(reply: FastifyReply, answer: Answer, clock: Clock): FastifyReply {
  const { attempt } = answer;
  reply.header('x-strata-provider', attempt.target.provider.name);
  reply.header('x-strata-model', attempt.target.model);
  reply.header('x-strata-attempts', String(attempt.number));
  switch (answer.type) {
    case 'whole':
      if (answer.costNanoUsd === undefined) reply.header('x-strata-unpriced', 'true');
      else reply.header('x-strata-cost-nano-usd', String(answer.costNanoUsd));
      return reply.header('content-type', answer.contentType).send(answer.body);
    case 'refusal':
      reply.header('x-should-retry', 'false').header('content-type', answer.refusal.contentType);
      return reply.code(answer.refusal.status).send(answer.refusal.body);
    case 'stream':
      sendStream(reply, answer.stream, clock);
      return reply;
  }
}

/** Tells how many attempts were made, and stops the official SDKs from repeating what no repetition can cure. */
function refused(reply: FastifyReply, call: Call, error: unknown): GatewayError {
  const { failures } = call;
  reply.header('x-strata-attempts', String(failures.length));
  const isHopeless = failures.length > 0 && failures.every(each => hopeless.has(each.failure));
  if (isHopeless) reply.header('x-should-retry', 'false');
  return GatewayError.from(error);
}

const hopeless = new Set(['quota', 'credential', 'model-gone']);
