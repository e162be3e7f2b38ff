/** The yardstick: what any Fastify and undici proxy costs before it knows anything about models, keys or money. */
import Fastify from 'fastify';
import { Pool } from 'undici';

const pool = new Pool(process.env.UPSTREAM ?? 'http://127.0.0.1:4900', { connections: 128 });
const app = Fastify();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
  done(null, body),
);
app.post('/*', async (request, reply) => {
  const { authorization = '' } = request.headers;
  const headers = { 'content-type': 'application/json', authorization };
  const upstream = await pool.request({
    path: request.url,
    method: 'POST',
    headers,
    body: request.body as Buffer,
  });
  return reply
    .code(upstream.statusCode)
    .header('content-type', upstream.headers['content-type'])
    .send(upstream.body);
});
const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ type: 'ready', name: 'bare-proxy', url });
