import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import type { ObjectPage, ProviderObject, ProviderObjectStore } from '../domain/provider-object.ts';

/** Looked through at once where what was looked at first does not make a page. */
const searchedFiles = 1000;

/** One more than a page of those that are wanted, if there are so many. However small the page is, the store is asked once for a thousand files. */
export async function findFiles(
  store: Pick<ProviderObjectStore, 'list'>,
  owner: Owner,
  { page, isWanted }: { readonly page: ObjectPage; isWanted(file: ProviderObject): boolean },
): Promise<JsonObject[]> {
  const wanted = page.limit + 1;
  const files: ProviderObject[] = [];
  let { after } = page;
  for (let limit = wanted; ; limit = Math.max(wanted, searchedFiles)) {
    const found = await store.list(owner, 'file', { ...page, after, limit });
    files.push(...found.filter(isWanted));
    after = found.at(-1)?.id;
    if (files.length >= wanted || found.length < limit)
      return files.slice(0, wanted).map(({ object }) => object);
  }
}
