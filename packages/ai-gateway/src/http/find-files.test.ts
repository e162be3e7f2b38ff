import { expect, test } from 'vitest';
import type { ObjectPage, ProviderObject } from '../domain/provider-object.ts';
import { findFiles } from './find-files.ts';

const owner = { tenant: 't', principal: 'p' };

function fileOf(index: number, purpose: string): ProviderObject {
  const id = `file-${index}`;
  return {
    ...{ owner, kind: 'file', id, provider: 'one', credential: 'c', createdAtMs: index, isSettled: true },
    ...{ object: { id, purpose }, facts: {} },
  };
}

/** A store of `count` files, one in `every` of them wanted, that counts how often it is asked. */
function storeOf({ count, every }: { count: number; every: number }) {
  const files = Array.from({ length: count }, (_, index) =>
    fileOf(index, index % every === 0 ? 'vision' : 'batch'),
  );
  const asked: number[] = [];
  return {
    asked,
    async list(_owner: object, _kind: string, { after, limit }: ObjectPage) {
      asked.push(limit);
      const from = after === undefined ? 0 : files.findIndex(({ id }) => id === after) + 1;
      return files.slice(from, from + limit);
    },
  };
}

const isWanted = ({ object }: ProviderObject) => object.purpose === 'vision';
const page: ObjectPage = { after: undefined, limit: 1, order: 'desc' };

test.each([
  ['all are wanted: one look', { count: 5000, every: 1 }, 1, 2, 1],
  ['few are wanted: looks of a thousand', { count: 5000, every: 2600 }, 1, 2, 4],
  ['none but the first: to the end', { count: 5000, every: 9000 }, 1, 1, 6],
  ['as many as were looked at: once more', { count: 4, every: 2 }, 3, 2, 2],
])('%s', async (_what, files, limit, found, looks) => {
  const store = storeOf(files);
  expect(await findFiles(store, owner, { page: { ...page, limit }, isWanted })).toHaveLength(found);
  expect(store.asked).toHaveLength(looks);
});

test('a page goes on where the one before ended', async () => {
  const store = storeOf({ count: 4000, every: 1500 });
  const first = await findFiles(store, owner, { page, isWanted });
  expect(first.map(({ id }) => id)).toEqual(['file-0', 'file-1500']);
  const next = await findFiles(store, owner, { page: { ...page, after: 'file-0', limit: 2 }, isWanted });
  expect(next.map(({ id }) => id)).toEqual(['file-1500', 'file-3000']);
});
