/** The strong ETag of a revision (RFC 9110 section 8.8.3): `"7"`. */
export const etagOf = (revision: number) => `"${revision}"`;

/** What an `If-Match` names: a revision, or `*` for whatever there is. Undefined when it is neither. */
export function readEtag(header: string): number | '*' | undefined {
  if (header === '*') return '*';
  const [, revision] = /^"(\d{1,15})"$/.exec(header) ?? [];
  return revision === undefined ? undefined : Number(revision);
}
