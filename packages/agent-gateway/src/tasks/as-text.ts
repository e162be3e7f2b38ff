/** A value where only text fits, as in a URI, a header or a form: text as it is, anything else as JSON, nothing as nothing. */
export const asText = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
