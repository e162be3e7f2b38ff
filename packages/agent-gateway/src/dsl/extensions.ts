import type { Extension } from '../domain/extended-task.ts';
import { type Members, membersOf } from './members.ts';
import type { Mistakes } from './mistakes.ts';
import { escapePointer } from './template.ts';

/** `composite` is what older versions of the language called tasks that hold others. */
const kindsOf: Readonly<Record<string, readonly string[] | undefined>> = {
  all: undefined,
  composite: ['do', 'fork'],
};
const kinds = ['call', 'emit', 'for', 'listen', 'raise', 'run', 'set', 'switch', 'try', 'wait'];
const known = ['extend', 'when', 'before', 'after'];

export function readExtensions(use: Members, mistakes: Mistakes): Extension[] {
  const { extensions } = use;
  if (extensions === undefined) return [];
  if (!Array.isArray(extensions)) {
    mistakes.add('/use/extensions', 'Expected a list of extensions, each under its name.');
    return [];
  }
  return extensions.flatMap((entry: unknown, index) => {
    const named = Object.entries(membersOf(entry));
    const [first] = named;
    if (first !== undefined && named.length === 1)
      return readExtension(
        membersOf(first[1]),
        `/use/extensions/${index}/${escapePointer(first[0])}`,
        mistakes,
      );
    mistakes.add(`/use/extensions/${index}`, 'Expected an object with one key, the name of the extension.');
    return [];
  });
}

function readExtension(members: Members, pointer: string, mistakes: Mistakes): Extension[] {
  const { extend, when, before, after } = members;
  for (const key of Object.keys(members)) {
    if (!known.includes(key))
      mistakes.add(`${pointer}/${escapePointer(key)}`, `An extension has no key '${key}'.`);
  }
  for (const [key, list] of [
    ['before', before],
    ['after', after],
  ] as const) {
    if (list !== undefined && !Array.isArray(list))
      mistakes.add(`${pointer}/${key}`, 'Expected a list of tasks.');
  }
  if (typeof extend === 'string' && (kinds.includes(extend) || Object.hasOwn(kindsOf, extend)))
    return [{ pointer, kinds: kinds.includes(extend) ? [extend] : kindsOf[extend], when, before, after }];
  const names = [...Object.keys(kindsOf), ...kinds].join(', ');
  mistakes.add(`${pointer}/extend`, `Expected the kind of task that is extended, one of ${names}.`);
  return [];
}

/** The extensions of a task of this kind (`call`, `do`). */
export function extensionsOf(kind: string | undefined, all: readonly Extension[]): readonly Extension[] {
  if (kind === undefined) return [];
  return all.filter(each => each.kinds === undefined || each.kinds.includes(kind));
}
