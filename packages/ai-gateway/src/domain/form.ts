import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Span } from './json-scanner.ts';

/** One part of a form. */
export interface FormField {
  readonly name: string;
  readonly isFile: boolean;
  /** Where its content lies in the body. */
  readonly value: Span;
}

/** A form as it was sent: where its fields lie. Its bytes stay where they are. */
export interface Form {
  readonly fields: readonly FormField[];
  /** Of all files together. */
  readonly fileBytes: number;
}

const maxFields = 1000;
const maxHeadBytes = 8192;
const lineEnd = Buffer.from('\r\n');
const headEnd = Buffer.from('\r\n\r\n');

/**
 * Finds the fields of a `multipart/form-data` body (RFC 7578) without copying any of it.
 *
 * @throws GatewayError invalid_request (`form_invalid`).
 */
export function scanForm(body: Buffer, contentType: string | undefined): Form {
  const boundary = boundaryOf(contentType);
  const fields: FormField[] = [];
  const opening = body.indexOf(`--${boundary}`);
  // A preamble is allowed and says nothing (RFC 2046 section 5.1.1).
  if (opening !== 0 && body.indexOf(`\r\n--${boundary}`) !== opening - 2)
    throw invalid('It has no first part.');
  let at = opening + 2 + boundary.length;
  while (!isClosing(body, at)) {
    if (fields.length === maxFields) throw invalid(`It has more than ${maxFields} parts.`);
    if (body.indexOf(lineEnd, at) !== at)
      throw invalid('A boundary is followed by something else than a line end.');
    const field = readField(body, at + lineEnd.length, boundary);
    fields.push(field);
    at = field.value.end + lineEnd.length + 2 + boundary.length;
  }
  const fileBytes = fields.reduce(
    (sum, { isFile, value }) => sum + (isFile ? value.end - value.start : 0),
    0,
  );
  return { fields, fileBytes };
}

/** The text of the last field of this name that is no file. */
export function formText(body: Buffer, form: Form, name: string): string | undefined {
  const field = form.fields.findLast(each => each.name === name && !each.isFile);
  return field && body.toString('utf8', field.value.start, field.value.end);
}

function boundaryOf(contentType: string | undefined): string {
  const match = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? '');
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw invalid('Its content type names no boundary.');
  return boundary;
}

/** Two dashes after the delimiter: it was the last one. */
function isClosing(body: Buffer, at: number): boolean {
  return body[at] === dash && body[at + 1] === dash;
}

const dash = 0x2d;

function readField(body: Buffer, start: number, boundary: string): FormField {
  const blank = body.indexOf(headEnd, start);
  if (blank === -1 || blank - start > maxHeadBytes) {
    throw invalid('The headers of a part are missing, too long, or do not end.');
  }
  const contentStart = blank + headEnd.length;
  const end = body.indexOf(`\r\n--${boundary}`, contentStart);
  if (end === -1) throw invalid('A part is not complete.');
  const disposition = dispositionOf(body.toString('utf8', start, blank));
  return {
    name: nameOf(disposition),
    isFile: /;\s*filename\*?=/i.test(disposition),
    value: { start: contentStart, end },
  };
}

function dispositionOf(head: string): string {
  const lines = head.split('\r\n');
  const found = lines.filter(line => /^content-disposition\s*:/i.test(line));
  const isFolded = lines.some(line => /^[ \t]/.test(line));
  if (found.length !== 1 || isFolded) throw invalid('A part has no name that every reader would read alike.');
  return found[0] ?? '';
}

/** What two readers could read in two ways would let a field pass that the gateway does not see. */
function nameOf(disposition: string): string {
  const names = [...disposition.matchAll(/;\s*name(\*?)=(?:"([^"]*)"|([^\s;]+))/gi)];
  const [, star, quoted, bare] = names[0] ?? [];
  const name = quoted ?? bare;
  if (names.length !== 1 || star !== '' || name === undefined || !/^[\w.[\]-]{1,128}$/.test(name)) {
    throw invalid('A part has no name that every reader would read alike.');
  }
  return name;
}

function invalid(what: string): GatewayError {
  return new GatewayError('invalid_request', `The form cannot be read. ${what}`, { reason: 'form_invalid' });
}
