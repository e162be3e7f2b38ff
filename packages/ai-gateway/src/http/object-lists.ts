import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ObjectPage } from '../domain/provider-object.ts';

export type Query = Readonly<Record<string, unknown>>;

/** What a client asks of a list. One more than the limit is looked for, to know whether more follow. @throws GatewayError invalid_request (`page_invalid`). */
export function pageOf(
  query: Query,
  { defaultLimit, maxLimit, after }: { defaultLimit: number; maxLimit: number; after: unknown },
): ObjectPage {
  return {
    after: typeof after === 'string' ? after : undefined,
    limit: Math.min(limitOf(query.limit) ?? defaultLimit, maxLimit),
    order: query.order === 'asc' ? 'asc' : 'desc',
  };
}

function limitOf(written: unknown): number | undefined {
  if (written === undefined || written === '') return undefined;
  const limit = typeof written === 'string' && /^\d{1,9}$/.test(written) ? Number(written) : 0;
  if (limit > 0) return limit;
  throw new GatewayError('invalid_request', '`limit` must be a whole number above 0.', {
    reason: 'page_invalid',
    param: 'limit',
  });
}

interface ObjectList {
  readonly object: 'list';
  readonly data: readonly object[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

/** A list as OpenAI and Anthropic write it. */
export function listOf(objects: readonly object[], limit: number): ObjectList {
  const data = objects.slice(0, limit);
  const idOf = (item: object | undefined) => (item as { id?: string } | undefined)?.id ?? null; // provider objects have one
  return {
    object: 'list',
    data,
    first_id: idOf(data.at(0)),
    last_id: idOf(data.at(-1)),
    has_more: objects.length > limit,
  };
}
