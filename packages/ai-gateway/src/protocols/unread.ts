import type { JsonObject } from '../domain/json-object.ts';
import type { Loss } from '../domain/losses.ts';
import { asNumber, asObject, asString } from './read-json.ts';

/**
 * What a decoder reads of a request below its outermost members, as data: each member of an object, each item of a list, each kind of an item
 * that says by a member of its own which it is. `any` is read, or passed on, as a whole; of everything else nothing is read where it is something
 * of another type.
 */
export type Readable =
  | 'any'
  | keyof typeof isScalar
  /** `isOpen`: its other members are told of in another way, as tools and parts of the vendor are. */
  | ({ readonly members: Readonly<Record<string, Readable>>; readonly isOpen?: true } & OrText)
  /** `orOne`: one of them, without a list around it, is read too. */
  | ({ readonly items: Readable; readonly orOne?: true } & OrText)
  | ({
      readonly tag: string;
      readonly kinds: Readonly<Record<string, Readable>>;
      /** What other kinds are; absent: nobody reads them. */
      readonly otherwise?: Readable;
    } & OrText);

interface OrText {
  /** A text in its place is read too. */
  readonly orText?: true;
}

const isScalar = {
  number: (value: unknown) => asNumber(value) !== undefined,
  text: (value: unknown) => typeof value === 'string',
  flag: (value: unknown) => typeof value === 'boolean',
  object: (value: unknown) => asObject(value) !== undefined,
  texts: (value: unknown) => Array.isArray(value) && value.every(isScalar.text),
  textOrTexts: (value: unknown) => isScalar.text(value) || isScalar.texts(value),
} as const;

const maxNames = 50;

/**
 * Names of what a client says and nobody reads: `messages.name`, `tools.function.examples`. Only the outermost members that `readable` has are
 * looked into. What says nothing (`null`, an empty list) is no loss.
 */
export function unreadIn(body: JsonObject, readable: Readonly<Record<string, Readable>>): readonly Loss[] {
  const found = new Set<string>();
  for (const name in readable) look(body[name], readable[name], { path: name, found });
  return [...found].slice(0, maxNames).map(parameter => ({ parameter, action: 'dropped' }));
}

interface Place {
  readonly path: string;
  readonly found: Set<string>;
}

function look(value: unknown, readable: Readable | undefined, place: Place): void {
  if (readable === 'any' || readable === undefined || value === undefined) return;
  if (typeof readable === 'string') {
    if (isSaid(value) && !isScalar[readable](value)) place.found.add(place.path);
    return;
  }
  if ('items' in readable) {
    if (Array.isArray(value)) for (const item of value) look(item, readable.items, place);
    else if (readable.orOne && asObject(value) !== undefined) look(value, readable.items, place);
    else lookAtOther(value, readable, place);
    return;
  }
  const object = asObject(value);
  if (object === undefined) {
    lookAtOther(value, readable, place);
    return;
  }
  const { path, found } = place;
  if ('members' in readable) {
    for (const name of Object.keys(object)) {
      const inner = object[name];
      const known = Object.hasOwn(readable.members, name) ? readable.members[name] : undefined;
      if (known !== undefined) look(inner, known, { path: `${path}.${name}`, found });
      else if (readable.isOpen !== true && isSaid(inner)) found.add(`${path}.${name}`);
    }
    return;
  }
  const kind = asString(object[readable.tag]);
  const known = kind !== undefined && Object.hasOwn(readable.kinds, kind) ? readable.kinds[kind] : undefined;
  if (known !== undefined) look(object, known, place);
  else if (readable.otherwise !== undefined) look(object, readable.otherwise, place);
  else if (kind !== undefined) found.add(`${path}.${kind}`);
}

function lookAtOther(value: unknown, { orText }: OrText, { path, found }: Place): void {
  if (isSaid(value) && !(orText && typeof value === 'string')) found.add(path);
}

function isSaid(value: unknown): boolean {
  return value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0);
}

/** Members of which each is read, or passed on, as a whole. */
export function members(...names: readonly string[]): { readonly members: Readonly<Record<string, 'any'>> } {
  return { members: Object.fromEntries(names.map(name => [name, 'any'])) };
}

/** Members that are read only where they are of that kind. */
export function scalars<Kind extends keyof typeof isScalar>(
  kind: Kind,
  ...names: readonly string[]
): Readonly<Record<string, Kind>> {
  return Object.fromEntries(names.map(name => [name, kind]));
}
