import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { DirectRequest } from './direct-request.ts';

const maxTextBytes = 16 * 1024;

/** Ends a response with bytes that are ready. */
export function sendBytes(
  response: ServerResponse,
  status: number,
  { headers, body }: { readonly headers: OutgoingHttpHeaders; readonly body: Buffer },
): void {
  headers['content-length'] = body.length;
  response.writeHead(status, headers);
  // As text of single bytes a short body leaves in one piece with the head; as a buffer it would be a second one.
  if (body.length <= maxTextBytes) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}

/** Answers a direct request with JSON. */
export function sendJson(
  { response, replyHeaders }: Pick<DirectRequest, 'response' | 'replyHeaders'>,
  body: object,
  headers: OutgoingHttpHeaders = {},
): void {
  sendBytes(response, 200, {
    headers: { ...replyHeaders, 'content-type': 'application/json; charset=utf-8', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  });
}

/** The same in place of what Fastify does to a payload. What the reply's headers are goes along. */
export function sendWhole(
  reply: FastifyReply,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Buffer,
): FastifyReply {
  reply.hijack();
  const own = reply.getHeaders() as OutgoingHttpHeaders; // Fastify's type only adds names
  sendBytes(reply.raw, status, { headers: { ...own, ...headers }, body });
  return reply;
}
