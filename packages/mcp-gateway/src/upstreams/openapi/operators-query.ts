/**
 * Appends what the operator says in the query. A caller says nothing under these names: members of an object may be parameters of any name
 * (OpenAPI 3.1, `form` exploded), and APIs differ in which of two equal ones they read, in whether case counts, and in what `name[]` is.
 */
export function withOperatorsQuery(target: string, query: Readonly<Record<string, string>>): string {
  const more = new URLSearchParams(query).toString();
  if (more === '') return target;
  const names = new Set(Object.keys(query).map(name => name.toLowerCase()));
  const [path = '', ...rest] = target.split('?');
  const pairs = rest
    .join('?')
    .split('&')
    .filter(pair => pair !== '' && !isSaid(pair, names));
  return `${path}?${[...pairs, more].join('&')}`;
}

function isSaid(pair: string, names: ReadonlySet<string>): boolean {
  const [name = ''] = new URLSearchParams(pair).keys();
  const folded = name.toLowerCase();
  return names.has(folded) || names.has(folded.split('[', 1)[0] ?? '');
}
