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
