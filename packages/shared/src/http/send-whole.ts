import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';

const maxTextBytes = 16 * 1024;

/** Ends the response with bytes that are ready and need nothing of what Fastify does to a payload. What the reply's headers are goes along. */
export function sendWhole(
  reply: FastifyReply,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Buffer,
): FastifyReply {
  const { raw } = reply;
  reply.hijack();
  raw.writeHead(status, {
    ...(reply.getHeaders() as OutgoingHttpHeaders), // Fastify's type only adds names
    ...headers,
    'content-length': body.length,
  });
  // As text of single bytes a short body leaves in one piece with the head; as a buffer it would be a second one.
  if (body.length <= maxTextBytes) raw.end(body.toString('latin1'), 'latin1');
  else raw.end(body);
  return reply;
}
