import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InFlightMap, InFlightSet, type Place } from './in-flight.ts';

test('a set holds exactly those that came and did not leave, however often they try to', () => {
  const turns = fc.array(fc.record({ isNew: fc.boolean(), at: fc.nat(50) }), { maxLength: 200 });
  fc.assert(
    fc.property(turns, each => {
      const set = new InFlightSet<number>();
      const places: Place[] = [];
      const inside = new Set<number>();
      for (const { isNew, at } of each) {
        if (isNew || places.length === 0) {
          inside.add(places.length);
          places.push(set.add(places.length));
        } else {
          const left = at % places.length;
          places[left]?.leave();
          inside.delete(left);
        }
        expect([...set].sort((left, right) => left - right)).toEqual([...inside]);
        expect(set.size).toBe(inside.size);
      }
    }),
  );
});

test('members may leave while they are looked at', () => {
  const set = new InFlightSet<string>();
  const places = ['a', 'b', 'c'].map(name => set.add(name));
  const seen: string[] = [];
  for (const name of set) {
    seen.push(name);
    for (const place of places) place.leave();
  }
  expect(seen).toEqual(['a', 'b', 'c']);
  expect(set.size).toBe(0);
});

test('a map gives each value once', () => {
  const map = new InFlightMap<number, string>();
  map.set(1, 'one');
  map.set(2, 'two');
  expect(map.get(1)).toBe('one');
  expect(map.take(1)).toBe('one');
  expect(map.take(1)).toBeUndefined();
  expect(map.has(1)).toBe(false);
  expect(map.values()).toEqual(['two']);
  expect(map.takeAll()).toEqual(['two']);
  expect(map.has(2)).toBe(false);
});

setFlagsFromString('--expose-gc');
const collectAll = runInNewContext('gc') as () => void; // what the flag puts there

const perMember = 256;

/** How much the old generation grows while members come and go, 32 at a time; nothing but a full collection makes it smaller. */
function growthOf(enter: (id: number, member: object) => () => void): number {
  const inside: (() => void)[] = [];
  const comeAndGo = (from: number, count: number) => {
    for (let id = from; id < from + count; id++) {
      inside.push(enter(id, new Array(perMember).fill(id)));
      if (inside.length > 32) inside.shift()?.();
    }
  };
  comeAndGo(0, 1000);
  collectAll(); // the tables of the moment are in the old generation now
  const before = oldBytes();
  comeAndGo(1000, 20_000);
  return oldBytes() - before;
}

function oldBytes(): number {
  return getHeapSpaceStatistics().find(space => space.space_name === 'old_space')?.space_used_size ?? 0;
}

const allMembers = 20_000 * perMember * 4;

test('what has left dies young', () => {
  const places = new InFlightSet<object>();
  const cells = new InFlightMap<number, object>();
  const inPlaces = growthOf((_id, member) => {
    const place = places.add(member);
    return () => place.leave();
  });
  const inCells = growthOf((id, member) => {
    cells.set(id, member);
    return () => void cells.take(id);
  });
  // In a Set it is all of them.
  expect(inPlaces).toBeLessThan(allMembers / 4);
  expect(inCells).toBeLessThan(allMembers / 4);
});
