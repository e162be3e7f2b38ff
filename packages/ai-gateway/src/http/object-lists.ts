import type { ObjectPage } from '../domain/provider-object.ts';

export type Query = Readonly<Record<string, unknown>>;

/** What a client asks of a list. One more than the limit is looked for, to know whether more follow. */
export function pageOf(
  query: Query,
  { defaultLimit, maxLimit, after }: { defaultLimit: number; maxLimit: number; after: unknown },
): ObjectPage {
  const asked = Number(query.limit ?? defaultLimit);
  const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, maxLimit) : defaultLimit;
  return {
    after: typeof after === 'string' ? after : undefined,
    limit,
    order: query.order === 'asc' ? 'asc' : 'desc',
  };
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
