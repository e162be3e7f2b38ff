import { readFile } from 'node:fs/promises';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, Origin } from '@strata/shared/http/dialer.ts';
import { type OpenapiService, readOpenapi } from '@strata/shared/openapi/openapi-document.ts';
import { readBody } from '../result-size.ts';

export interface DocumentSource {
  readonly server: string;
  /** Path of a file, or an `http(s)` address. */
  readonly location: string;
  readonly allowPrivate: boolean;
  readonly dialer: Dialer;
}

const fetchTimeoutMs = 15_000;
const maxBytes = 16 * 1024 * 1024;

/** Reads an OpenAPI document from where it lies. @throws GatewayError upstream_failed (`openapi_document_invalid`) */
export async function loadDocument(source: DocumentSource): Promise<OpenapiService> {
  const { location } = source;
  const bytes = /^https?:/.test(location) ? await fetchDocument(source) : await readDocument(source);
  try {
    return readOpenapi(bytes);
  } catch (cause) {
    throw documentInvalid(source.server, 'cannot be used', cause);
  }
}

async function readDocument(source: DocumentSource): Promise<Buffer> {
  try {
    return await readFile(source.location);
  } catch (cause) {
    throw documentInvalid(source.server, 'cannot be read', cause);
  }
}

async function fetchDocument(source: DocumentSource): Promise<Buffer> {
  const { location, allowPrivate, dialer, server } = source;
  const url = new URL(location);
  const origin: Origin = { name: server, url: new URL('/', url), allowPrivate };
  const response = await dialer.request(origin, {
    method: 'GET',
    path: url.pathname + url.search,
    headers: { accept: 'application/json, application/yaml' },
    signal: AbortSignal.timeout(fetchTimeoutMs),
  });
  if (response.status === 200) return readBody(response, maxBytes, server);
  response.body.destroy();
  throw documentInvalid(source.server, `was answered with HTTP ${response.status}`);
}

export function documentInvalid(server: string, what: string, cause?: unknown): GatewayError {
  const why = cause instanceof Error ? ` (${cause.message.slice(0, 300)})` : '';
  return new GatewayError('upstream_failed', `The OpenAPI document of '${server}' ${what}${why}.`, {
    reason: 'openapi_document_invalid',
    details: { server },
    cause,
  });
}
