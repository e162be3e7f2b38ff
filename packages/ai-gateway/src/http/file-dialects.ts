import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyRequest } from 'fastify';
import type { JsonObject } from '../domain/json-object.ts';
import type { fileApis, ObjectPage, ProviderObject } from '../domain/provider-object.ts';
import { vendorOf } from './error-shapes.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

/** How one vendor's clients speak of files. */
export interface FileDialect {
  readonly protocol: (typeof fileApis)[number];
  /** Whether it is this vendor that keeps the file. */
  keeps(file: ProviderObject): boolean;
  page(query: Query): ObjectPage;
  list(files: readonly JsonObject[], limit: number): object;
  /** What the provider is told beside the request itself. */
  headers(request: FastifyRequest): Readonly<Record<string, string>>;
}

const openai: FileDialect = {
  protocol: 'openai-files',
  keeps: file => !anthropic.keeps(file),
  page: query => pageOf(query, { defaultLimit: 10_000, maxLimit: 10_000, after: query.after }),
  list: listOf,
  headers: () => ({}),
};

const filesBeta = 'files-api-2025-04-14';

const anthropic: FileDialect = {
  protocol: 'anthropic-files',
  keeps: ({ object }) => object.type === 'file',
  page: query => pageOf(query, { defaultLimit: 20, maxLimit: 1000, after: query.page ?? query.after_id }),
  list(files, limit) {
    const { object: _object, ...page } = listOf(files, limit);
    return { ...page, next_page: page.has_more ? page.last_id : null };
  },
  headers({ headers }) {
    const { 'anthropic-beta': asked = '' } = headers;
    const betas = String(asked)
      .split(',')
      .map(beta => beta.trim());
    return { 'anthropic-beta': [...new Set([...betas, filesBeta])].filter(beta => beta !== '').join(',') };
  },
};

/** By who asks. @throws GatewayError not_found for whose files are not here. */
export function fileDialectOf({ url, headers, method }: FastifyRequest): FileDialect {
  const vendor = vendorOf(url, headers);
  if (vendor === 'openai') return openai;
  if (vendor === 'anthropic') return anthropic;
  throw new GatewayError('not_found', `There is nothing at ${method} /v1/files for this client.`, {
    reason: 'unknown_route',
  });
}
