/**
 * A text as both engines can hold it, no longer than `maxLength`: PostgreSQL takes no NUL, and neither a half of a surrogate pair. For names that callers
 * and upstreams choose, where the record must be stored whatever they chose.
 */
export function columnText(text: string, maxLength = 512): string {
  if (text.length <= maxLength && text.isWellFormed() && !text.includes('\0')) return text;
  return text.slice(0, maxLength).toWellFormed().replaceAll('\0', '\ufffd');
}
