/**
 * What is left when nothing is decided: `node:http`, undici's own dispatch, and the headers that ai-gateway sends both ways. It knows no keys, models, money or limits and has
 * no time-outs, so it is no proxy to use. What ai-gateway takes beyond it is what ai-gateway does.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from 'undici';

const upstream = process.env.UPSTREAM ?? 'http://127.0.0.1:4900';
const idle: Client[] = [];

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', chunk => chunks.push(chunk));
  request.on('end', () => forward(request, Buffer.concat(chunks), response));
});

function forward(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const client = idle.pop() ?? new Client(upstream, { pipelining: 2 });
  const { authorization = '' } = request.headers;
  const headers = {
    'content-type': 'application/json',
    authorization,
    accept: 'application/json',
    'accept-encoding': 'identity',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  };
  const answer = { status: 0, chunks: [] as Buffer[] };
  client.dispatch(
    { method: 'POST', path: request.url ?? '/', headers, body },
    {
      onRequestStart() {},
      onResponseStart(_controller, status) {
        answer.status = status;
      },
      onResponseData(_controller, chunk) {
        answer.chunks.push(chunk);
      },
      onResponseEnd() {
        idle.push(client);
        send(response, answer.status, Buffer.concat(answer.chunks));
      },
      onResponseError(_controller, error) {
        response.destroy(error);
      },
    },
  );
}

function send(response: ServerResponse, status: number, body: Buffer): void {
  response.writeHead(status, {
    'x-request-id': 'req_01ka0000000000000000000000',
    'x-strata-provider': 'main',
    'x-strata-model': 'gpt-5-mini',
    'x-strata-attempts': '1',
    'x-strata-overhead-ms': '0.10',
    'x-strata-input-tokens': '14',
    'x-strata-cached-tokens': '0',
    'x-strata-output-tokens': '9',
    'x-strata-cost-nano-usd': '21500',
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body.toString('latin1'), 'latin1'); // in one write with the head
}

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  process.send?.({ type: 'ready', name: 'floor-proxy', url: `http://127.0.0.1:${port}` });
});
process.once('SIGTERM', () => process.exit(0));
