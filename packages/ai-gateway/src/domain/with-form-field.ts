import { splice } from '@strata/shared/json/splice.ts';
import { formOf, keepForm } from './form.ts';
import { boundaryOf } from './form-scanner.ts';

/** The form with a field that it has not, in front of its first part; as it is where it has one. `contentType` names its boundary. */
export function withFormField(
  body: Buffer,
  contentType: string | undefined,
  field: { readonly name: string; readonly text: string },
): Buffer {
  const form = formOf(body);
  const { text, fields } = form;
  if (fields.some(({ name, isFile }) => name === field.name && !isFile)) return body;
  const delimiter = `--${boundaryOf(contentType)}`;
  // Only at the beginning of a line: in a preamble it says nothing.
  const isFirst = text.subarray(0, delimiter.length).equals(Buffer.from(delimiter));
  const at = isFirst ? 0 : text.indexOf(`\r\n${delimiter}`) + 2;
  const head = Buffer.from(`${delimiter}\r\nContent-Disposition: form-data; name="${field.name}"\r\n\r\n`);
  const part = Buffer.concat([head, Buffer.from(`${field.text}\r\n`)]);
  const value = { start: at + head.length, end: at + part.length - 2 };
  const moved = fields.map(each => ({
    ...each,
    value: { start: each.value.start + part.length, end: each.value.end + part.length },
  }));
  return keepForm({
    ...form,
    text: splice(text, [{ start: at, end: at, text: part }]),
    fields: [{ name: field.name, isFile: false, value, file: { start: 0, end: 0 } }, ...moved],
  });
}
