import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { Secret } from '@strata/shared/secret.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeNamed, visibleEntries } from './catalog.ts';
import { createCursors, type Position, pageOf } from './cursor.ts';
import { exposedName, findLookalikes, mayUseServer } from './names.ts';
import { createSealer } from './sealer.ts';

const part = (server: string, keys: string[], hasPlainNames = false) => ({
  server,
  hasPlainNames,
  items: keys.map(key => ({ key })),
});

test('[names] names are server__tool, in configuration order', () => {
  const { entries } = mergeNamed([part('b', ['two', 'one']), part('a', ['three'])]);
  expect(entries.map(entry => entry.exposed)).toEqual(['b__two', 'b__one', 'a__three']);
});

test('[names][P15] a name past 64 characters is cut and hashed, the same way every time, and stays unlike its neighbours', () => {
  const long = 'x'.repeat(100);
  const name = exposedName('files', long);
  expect(name).toHaveLength(64);
  expect(name).toBe(exposedName('files', long));
  expect(name).not.toBe(exposedName('files', `${long}y`));
  expect(name).toMatch(/^files__x+_[0-9a-f]{8}$/);
});

test('characters that clients refuse are replaced, and the hash keeps names apart', () => {
  expect(exposedName('s', 'a/b')).toMatch(/^s__a_b_[0-9a-f]{8}$/);
  expect(exposedName('s', 'a/b')).not.toBe(exposedName('s', 'a:b'));
});

test('[M8] a name that two tools claim is refused for both', () => {
  const { entries, refused } = mergeNamed([
    part('a', ['x', 'y'], true),
    part('b', ['x'], true),
    part('c', ['X']),
  ]);
  expect(entries.map(entry => entry.exposed)).toEqual(['y', 'c__X']);
  expect(refused).toEqual([{ exposed: 'x', servers: ['a', 'b'] }]);
});

test('[M8] a name that differs in case only is refused too', () => {
  expect(mergeNamed([part('a', ['Read', 'read'])]).entries).toEqual([]);
});

test('[M8] a name that only looks like another is refused, whichever server it is of', () => {
  const { entries, refused } = mergeNamed([
    part('a', ['pay_Invoice', 'pay_lnvoice', 'list_0', 'other'], true),
    part('b', ['list_o'], true),
  ]);
  expect(entries.map(entry => entry.exposed)).toEqual(['other']);
  expect(refused).toEqual([
    { exposed: 'pay_Invoice', servers: ['a'] },
    { exposed: 'pay_lnvoice', servers: ['a'] },
    { exposed: 'list_0', servers: ['a', 'b'] },
    { exposed: 'list_o', servers: ['a', 'b'] },
  ]);
  expect(findLookalikes(['files', 'fiIes'])).toEqual(['files', 'fiIes']);
  expect(findLookalikes(['files', 'web'])).toBeUndefined();
});

test('[names][M-7] exposed names are injective and each leads to the item it was made of', () => {
  const server = fc.constantFrom('a', 'b', 'a-b', 'files', 'files_2');
  const parts = fc.uniqueArray(fc.tuple(server, fc.array(fc.string()), fc.boolean()), {
    selector: each => each[0],
  });
  fc.assert(
    fc.property(parts, specs => {
      const merged = mergeNamed(
        specs.map(([name, keys, isPlain]) => part(name, [...new Set(keys)], isPlain)),
      );
      const exposed = merged.entries.map(entry => entry.exposed);
      expect(new Set(exposed).size).toBe(exposed.length);
      for (const entry of merged.entries) {
        expect(entry.exposed).toMatch(/^[A-Za-z0-9_.-]{1,64}$/);
        const isPlain = specs.find(([name]) => name === entry.server)?.[2] ?? false;
        expect(exposedName(entry.server, entry.item.key, isPlain)).toBe(entry.exposed);
      }
    }),
  );
});

test('[S-2] a caller sees what its globs match, and nothing without globs', () => {
  const { entries } = mergeNamed([part('files', ['read', 'write']), part('web', ['get'])]);
  const names = (globs: string[]) => visibleEntries(entries, 'tools', globs).map(entry => entry.exposed);
  expect(names(['files__*'])).toEqual(['files__read', 'files__write']);
  expect(names(['*__get'])).toEqual(['web__get']);
  expect(names([])).toEqual([]);
});

test('resources follow the globs of their server', () => {
  const entries = [{ exposed: 'demo://a', server: 'web', item: { key: 'demo://a' } }];
  expect(visibleEntries(entries, 'resources', ['web__*'])).toHaveLength(1);
  expect(visibleEntries(entries, 'resources', ['web__get', 'files__*'])).toHaveLength(0);
});

test('a server that no glob can reach is left alone', () => {
  expect(mayUseServer(['files__read'], 'files', false)).toBe(true);
  expect(mayUseServer(['fi*'], 'files', false)).toBe(true);
  expect(mayUseServer(['files__read'], 'web', false)).toBe(false);
  expect(mayUseServer(['files__read'], 'web', true)).toBe(true);
  expect(mayUseServer([], 'web', true)).toBe(false);
  expect(mayUseServer(['!web__get'], 'web', true)).toBe(false);
  expect(mayUseServer(['*', '!web__*'], 'files', false)).toBe(true);
});

test('[pagination][P9] the pages of a list are the list, whatever the page size', () => {
  fc.assert(
    fc.property(fc.nat(40), fc.integer({ min: 1, max: 12 }), (count, size) => {
      const keys = Array.from({ length: count }, (_, index) => `t${index}`);
      const { entries } = mergeNamed([part('s', keys)]);
      const seen: string[] = [];
      let position: Position | undefined;
      do {
        const page = pageOf(entries, { position, size });
        seen.push(...page.entries.map(entry => entry.item.key));
        position = page.next;
      } while (position !== undefined);
      expect(seen).toEqual(keys);
    }),
  );
});

test('a list that changes between two pages repeats nothing', () => {
  const before = mergeNamed([part('s', ['a', 'b', 'c', 'd'])]).entries;
  const first = pageOf(before, { position: undefined, size: 2 });
  const after = mergeNamed([part('s', ['new', 'a', 'b', 'c', 'd'])]).entries;
  const second = pageOf(after, { position: first.next, size: 2 });
  expect(second.entries.map(entry => entry.item.key)).toEqual(['c', 'd']);
});

test('[pagination] a cursor that is mangled, empty, made up or of another list is refused, and tells nothing', () => {
  const cursors = createCursors(createSealer(new Secret('s')));
  const position = { after: 'files__read', count: 7 };
  const cursor = cursors.seal('tools', position);
  expect(cursors.open('tools', cursor)).toEqual(position);
  expect(Buffer.from(cursor, 'base64url').toString('latin1')).not.toContain('files__read');
  const refuses = (value: string, kind: 'tools' | 'prompts') => {
    try {
      cursors.open(kind, value);
    } catch (error) {
      return error instanceof GatewayError && error.reason === 'invalid_cursor';
    }
    return false;
  };
  expect(refuses('', 'tools')).toBe(true);
  expect(refuses(cursor, 'prompts')).toBe(true);
  expect(refuses(cursor.slice(1), 'tools')).toBe(true);
  expect(refuses(createCursors(createSealer(new Secret('t'))).seal('tools', position), 'tools')).toBe(true);
  fc.assert(fc.property(fc.string(), value => refuses(value, 'tools')));
});
