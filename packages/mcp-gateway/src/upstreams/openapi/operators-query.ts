/**
 * Appends what the operator says in the query. A caller says nothing under these names: members of an object may be parameters of any name
 * (OpenAPI 3.1, `form` exploded), and APIs differ in which of two equal ones they read, in whether case counts, and in what `name[]` is.
 */
export function withOperatorsQuery(target: string, query: Readonly<Record<string, string>>): string {
  const more = new URLSearchParams(query).toString();
  if (more === '') return target;
  const [path = '', ...rest] = target.split('?');
  const pairs = rest
    .join('?')
    .split('&')
    .filter(pair => pair !== '' && !isOperatorsQuery(nameOf(pair), query));
  return `${path}?${[...pairs, more].join('&')}`;
}

/** Whether what is said under this name is the operator's to say. */
export function isOperatorsQuery(name: string, query: Readonly<Record<string, string>>): boolean {
  const folded = name.toLowerCase();
  const [whole = ''] = folded.split('[', 1);
  const operators = Object.keys(query).map(each => each.toLowerCase());
  return operators.includes(folded) || operators.includes(whole);
}

function nameOf(pair: string): string {
  const [name = ''] = new URLSearchParams(pair).keys();
  return name;
}
