import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { bodyTooLarge } from '@strata/shared/http/read-body.ts';
import { clientGone } from '@strata/shared/http/request-life.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { formOf, keepBytes, keepForm } from '../domain/form.ts';
import { FormScanner } from '../domain/form-scanner.ts';
import type { OpenSpool, Spool } from '../domain/spool.ts';

export interface ReceiveFormsDeps {
  readonly openSpool: OpenSpool;
  /** Of a whole form. Read once a request. */
  maxFormBytes(): number;
  /** Of a form that is only passed on, as every other body. */
  readonly maxBodyBytes: number;
  /** Paths whose forms are read; those of others stay bytes. */
  readonly paths: ReadonlySet<string>;
}

/**
 * Takes the files of forms aside while they come, so that a form of any size takes little memory; its body is then all the rest. It can be sent
 * to one target after another until the request is answered.
 */
export function receiveForms(app: FastifyInstance, deps: ReceiveFormsDeps): void {
  app.addHook('onRoute', route => {
    if (deps.paths.has(route.url)) route.preHandler = forgetWhenAnswered;
  });
  app.addContentTypeParser('multipart/form-data', (request: FastifyRequest, payload: Readable) =>
    deps.paths.has(request.routeOptions.url ?? '')
      ? receive(deps, request.headers, payload)
      : readAll(payload, deps.maxBodyBytes),
  );
}

type Limits = Pick<ReceiveFormsDeps, 'openSpool' | 'maxFormBytes'>;

function receive(limits: Limits, headers: IncomingHttpHeaders, payload: Readable): Promise<Buffer> {
  return receiveInto(limits, payload, async (chunks, spool) => {
    const scanner = new FormScanner(headers['content-type']);
    for await (const chunk of chunks) for (const bytes of scanner.push(chunk)) await spool.append(bytes);
    return keepForm({ ...scanner.end(), spool });
  });
}

async function receiveInto(
  { openSpool, maxFormBytes }: Limits,
  payload: Readable,
  read: (chunks: AsyncIterable<Buffer>, spool: Spool) => Promise<Buffer>,
): Promise<Buffer> {
  const spool = openSpool();
  try {
    return await read(limited(payload, maxFormBytes()), spool);
  } catch (error) {
    await spool.close();
    throw payload.errored ? clientGone() : error;
  }
}

/** The same for a path that is answered without Fastify. */
export function createReceiveForm(limits: Limits): (request: DirectRequest) => Promise<Buffer> {
  return async request => {
    const body = await receive(limits, request.headers, request.raw);
    await forgetWhenAnswered({ body }, { raw: request.response });
    return body;
  };
}

/** Takes a body aside byte for byte, whatever it is. */
export function createReceiveBytes(limits: Limits): (request: DirectRequest) => Promise<Buffer> {
  return async request => {
    const body = await receiveInto(limits, request.raw, async (chunks, spool) => {
      let bytes = 0;
      for await (const chunk of chunks) {
        await spool.append(chunk);
        bytes += chunk.length;
      }
      return keepBytes(spool, bytes);
    });
    await forgetWhenAnswered({ body }, { raw: request.response });
    return body;
  };
}

async function forgetWhenAnswered(
  { body }: { readonly body?: unknown },
  { raw }: { readonly raw: ServerResponse },
): Promise<void> {
  if (!Buffer.isBuffer(body)) return;
  const { spool } = formOf(body);
  if (raw.closed) await spool.close();
  else raw.once('close', () => void spool.close());
}

async function readAll(payload: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of limited(payload, maxBytes)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* limited(payload: Readable, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  // What is refused in the middle is still answered: the connection stays.
  for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
    const read = chunk as Buffer; // a request without an encoding gives bytes
    bytes += read.length;
    if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
    yield read;
  }
}
