import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { explainNotFound, type KnownRoute, pathInvalid } from './not-found.ts';
import { bodyTooLarge, lengthMismatch } from './read-body.ts';
import { type RefusalDeps, renderRefusal } from './render-refusal.ts';

export interface ErrorAnswers {
  readonly refusals: RefusalDeps;
  readonly routes: readonly KnownRoute[];
  readonly maxBodyBytes: number;
  /** The shape of errors where a route names no other. */
  readonly errors: ErrorRenderer;
  /** The same where path or headers tell who asks; for requests that no route takes it goes before what the routes beside it name. */
  readonly errorsFor?:
    | ((path: string, headers: IncomingHttpHeaders) => ErrorRenderer | undefined)
    | undefined;
}

/** Answers whatever is thrown, and what no route takes, in the shape that the caller's protocol has for errors. */
export function addErrorAnswers(
  app: FastifyInstance,
  options: ErrorAnswers,
): {
  /** For requests whose path cannot be read: no route, and so no hook, ever sees them. */
  refusePath(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void;
} {
  const { refusals, routes, maxBodyBytes } = options;
  const answerError = async (
    request: FastifyRequest,
    reply: FastifyReply,
    error: GatewayError,
    errors?: ErrorRenderer,
  ) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const render =
      errors ??
      request.routeOptions.config?.errors ??
      options.errorsFor?.(path, request.headers) ??
      options.errors;
    const { status, headers, body } = await renderRefusal(refusals, request, { error, render });
    return reply.code(status).headers(headers).send(body);
  };

  app.setErrorHandler((error, request, reply) =>
    answerError(
      request,
      reply,
      toGatewayError(error as FastifyError, request.routeOptions.bodyLimit ?? maxBodyBytes),
    ),
  );
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const { error, allow, errors } = explainNotFound(routes, request.method, path);
    if (allow !== undefined) void reply.header('allow', allow);
    return answerError(request, reply, error, options.errorsFor?.(path, request.headers) ?? errors);
  });
  return {
    refusePath(error, request, reply) {
      const path = request.url.split('?', 1)[0] ?? '';
      const { errors } = explainNotFound(routes, request.method, path);
      void reply.header('x-request-id', request.id);
      void answerError(request, reply, toGatewayError(error, maxBodyBytes), errors);
    },
  };
}

/** Fastify's own refusals by their code; whatever else is thrown is unforeseen. */
function toGatewayError(error: FastifyError, maxBodyBytes: number): GatewayError {
  if (error instanceof GatewayError) return error;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge(maxBodyBytes, error);
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return lengthMismatch(error);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new GatewayError('unsupported_media_type', 'The content type is missing or not supported.', {
        reason: 'media_type_unsupported',
        cause: error,
      });
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return pathInvalid(error);
    default:
      return GatewayError.from(error);
  }
}
