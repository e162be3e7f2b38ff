/** What stands where a text is expected: the text, or else the JSON of whatever a client wrote there. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
