import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Span } from '@strata/shared/json/json-text.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import type { Spool } from './spool.ts';

/** One part of a form. */
export interface FormField {
  readonly name: string;
  readonly isFile: boolean;
  /** Where its content lies in the form's text; of a file, where it goes. */
  readonly value: Span;
  /** Of a file: where its content lies in the spool. */
  readonly file: Span;
}

/** A form as it was sent: everything but its files is in memory. */
export interface Form {
  /** All bytes but those of the files. */
  readonly text: Buffer;
  readonly fields: readonly FormField[];
  /** Of all files together. */
  readonly fileBytes: number;
  readonly spool: Spool;
}

/** Something to send that is not all in memory. It can be sent again. */
export interface StreamedBody {
  readonly bytes: number;
  chunks(): AsyncIterable<Buffer>;
}

/** By its text, which stands for the body wherever only the fields matter. */
const forms = new WeakMap<Buffer, Form>();

export function keepForm(form: Form): Buffer {
  forms.set(form.text, form);
  return form.text;
}

/** A body of which nothing is read: it is the only file of a form without text. */
export function keepBytes(spool: Spool, bytes: number): Buffer {
  const nowhere = { start: 0, end: 0 };
  const all = { name: '', isFile: true, value: nowhere, file: { start: 0, end: bytes } };
  return keepForm({ text: Buffer.alloc(0), fields: [all], fileBytes: bytes, spool });
}

/** Undefined for a body that was none. */
export function findForm(body: Buffer): Form | undefined {
  return forms.get(body);
}

/** @throws GatewayError invalid_request (`form_invalid`) when the body was none. */
export function formOf(body: Buffer): Form {
  const form = findForm(body);
  if (form === undefined) throw invalidForm('It has no parts.');
  return form;
}

/** The text of the last field of this name that is no file. */
export function formText({ text, fields }: Form, name: string): string | undefined {
  const field = fields.findLast(each => each.name === name && !each.isFile);
  return field && text.toString('utf8', field.value.start, field.value.end);
}

/** The form as it goes out: its text with the edits, and the bytes of its files where they stood. */
export function formBody(form: Form, edits: readonly Edit[]): StreamedBody {
  const files = form.fields.filter(field => field.isFile);
  const parts: (Buffer | Span)[] = [];
  let at = 0;
  for (const { value, file } of files) {
    parts.push(textBetween(form.text, edits, { start: at, end: value.start }), file);
    at = value.start;
  }
  parts.push(textBetween(form.text, edits, { start: at, end: form.text.length }));
  return {
    bytes: parts.reduce(
      (sum, part) => sum + (Buffer.isBuffer(part) ? part.length : part.end - part.start),
      0,
    ),
    async *chunks() {
      for (const part of parts) {
        if (Buffer.isBuffer(part)) yield part;
        else yield* form.spool.read(part);
      }
    },
  };
}

/** A field lies between two files, so no edit crosses a border. */
function textBetween(text: Buffer, edits: readonly Edit[], { start, end }: Span): Buffer {
  const inside = edits
    .filter(edit => edit.start >= start && edit.end <= end)
    .map(edit => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  return splice(text.subarray(start, end), inside);
}

export function invalidForm(what: string): GatewayError {
  return new GatewayError('invalid_request', `The form cannot be read. ${what}`, { reason: 'form_invalid' });
}
