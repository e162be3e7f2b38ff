const harmless = { set: { nothing: true } };
const head = { dsl: '1.0.3', namespace: 'a', name: 'a', version: '1.0.0' };

/**
 * Puts something valid in the place of what a pointer leads into: of the task around it, or of a part beside the tasks. `done` holds what
 * was replaced before; what is around that is replaced then. False when there is nothing left to replace.
 */
export function cutOut(document: Record<string, unknown>, pointer: string, done: Set<string>): boolean {
  const place = placesAround(pointer).find(each => !done.has(each.join('/')));
  if (place === undefined) return false;
  done.add(place.join('/'));
  const [section = ''] = place;
  if (section === 'document') document.document = { ...head };
  else if (place.length === 1 && section === 'do') document.do = [];
  else replace(document, place);
  return true;
}

/** Paths of the tasks around a pointer, the innermost first, and of the part of the document. */
function placesAround(pointer: string): string[][] {
  const names = pointer
    .split('/')
    .slice(1)
    .map(name => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (names.length === 0) return [];
  const tasks = names
    .map((name, index) => (/^\d+$/.test(name) ? names.slice(0, index + 2) : undefined))
    .filter(each => each !== undefined)
    .reverse();
  return [...tasks, names.slice(0, 1)];
}

function replace(document: Record<string, unknown>, place: readonly string[]): void {
  const key = place.at(-1) ?? '';
  let holder: unknown = document;
  for (const name of place.slice(0, -1)) {
    if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, name)) return;
    holder = (holder as Record<string, unknown>)[name]; // its own, by the line above
  }
  if (typeof holder !== 'object' || holder === null) return;
  const members = holder as Record<string, unknown>; // an object or an array
  if (place.length === 1) delete members[key];
  else members[key] = Array.isArray(holder) ? { nothing: harmless } : harmless;
}
