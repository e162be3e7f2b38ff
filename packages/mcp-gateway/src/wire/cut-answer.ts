const id = String.raw`"id"\s*:\s*(\d{1,15})`;
const version = String.raw`"jsonrpc"\s*:\s*"2\.0"`;
const simple = `(?:${version}\\s*,\\s*)?(?:${id}\\s*,\\s*)?(?:${version}\\s*,\\s*)?`;
/** An answer begins with its result, or with what is short and then its result. Nothing but the end of the text can look like the end of an object's last member. */
const answerHead = new RegExp(`^\\s*\\{\\s*${simple}"result"\\s*:`);
const idAtEnd = new RegExp(`,\\s*${id}\\s*\\}\\s*$`);
const idBeforeVersion = new RegExp(`,\\s*${id}\\s*,\\s*${version}\\s*\\}\\s*$`);

/** The id of an answer of which only the two ends are known; undefined when it cannot be told, or when it is no answer. */
export function idOfCutAnswer({
  head,
  tail,
}: {
  readonly head: Buffer;
  readonly tail: Buffer;
}): number | undefined {
  const begin = answerHead.exec(head.toString('latin1'));
  if (!begin) return undefined;
  const end = tail.toString('latin1');
  const found = begin[1] ?? (idAtEnd.exec(end) ?? idBeforeVersion.exec(end))?.[1];
  return found === undefined ? undefined : Number(found);
}
