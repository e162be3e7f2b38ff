import { type FormField, invalidForm } from './form.ts';

const maxFields = 1000;
const maxHeadBytes = 8192;
/** Of all that is no file. */
const maxTextBytes = 4 * 1024 * 1024;
const lineEnd = Buffer.from('\r\n');
const headEnd = Buffer.from('\r\n\r\n');
const dash = 0x2d;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const empty = Buffer.alloc(0);

type State = 'preamble' | 'delimited' | 'head' | 'value' | 'epilogue';

interface OpenField extends Pick<FormField, 'name' | 'isFile'> {
  readonly start: number;
  readonly fileStart: number;
}

/**
 * Finds the fields of a `multipart/form-data` body (RFC 7578) while it comes, however it is cut. The bytes of files are handed on; all others
 * are kept as they came.
 */
export class FormScanner {
  readonly #delimiter: Buffer;
  /** The delimiter without its line end. */
  readonly #opening: Buffer;
  readonly #fields: FormField[] = [];
  readonly #text: Buffer[] = [];
  #textBytes = 0;
  #fileBytes = 0;
  #rest: Buffer = empty;
  #state: State = 'preamble';
  #open: OpenField | undefined;

  /** @throws GatewayError invalid_request (`form_invalid`). */
  constructor(contentType: string | undefined) {
    this.#opening = Buffer.from(`--${boundaryOf(contentType)}`);
    this.#delimiter = Buffer.concat([lineEnd, this.#opening]);
  }

  /** The bytes of files in the chunk. @throws GatewayError invalid_request (`form_invalid`). */
  push(chunk: Buffer): Buffer[] {
    const ofFiles: Buffer[] = [];
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#step(ofFiles));
    return ofFiles;
  }

  /** @throws GatewayError invalid_request (`form_invalid`) when it is not complete. */
  end(): { text: Buffer; fields: readonly FormField[]; fileBytes: number } {
    if (this.#state !== 'epilogue') throw invalidForm('A part is not complete.');
    return { text: Buffer.concat(this.#text), fields: this.#fields, fileBytes: this.#fileBytes };
  }

  /** False when more bytes are needed. */
  #step(ofFiles: Buffer[]): boolean {
    switch (this.#state) {
      case 'preamble':
        return this.#readPreamble();
      case 'delimited':
        return this.#readDelimited();
      case 'head':
        return this.#readHead();
      case 'value':
        return this.#readValue(ofFiles);
      case 'epilogue':
        this.#keep(this.#rest.length);
        return false;
    }
  }

  /** A preamble is allowed and says nothing (RFC 2046 section 5.1.1). */
  #readPreamble(): boolean {
    const opening = this.#opening;
    if (this.#rest.length < opening.length) return false;
    if (this.#rest.subarray(0, opening.length).equals(opening)) {
      this.#keep(opening.length);
    } else {
      const at = this.#rest.indexOf(this.#delimiter);
      if (at === -1) {
        if (this.#rest.length > maxHeadBytes) throw invalidForm('It has no first part.');
        return false;
      }
      if (this.#rest.indexOf(opening) < at) throw invalidForm('In front of its first part is a boundary.');
      this.#keep(at + this.#delimiter.length);
    }
    this.#state = 'delimited';
    return true;
  }

  /** Two dashes after the delimiter: it was the last one. */
  #readDelimited(): boolean {
    if (this.#rest.length < 2) return false;
    if (this.#rest[0] === dash && this.#rest[1] === dash) {
      this.#state = 'epilogue';
      return true;
    }
    if (!this.#rest.subarray(0, 2).equals(lineEnd)) {
      throw invalidForm('A boundary is followed by something else than a line end.');
    }
    if (this.#fields.length === maxFields) throw invalidForm(`It has more than ${maxFields} parts.`);
    this.#keep(lineEnd.length);
    this.#state = 'head';
    return true;
  }

  #readHead(): boolean {
    const blank = this.#rest.indexOf(headEnd);
    if (blank > maxHeadBytes || (blank === -1 && this.#rest.length > maxHeadBytes)) {
      throw invalidForm('The headers of a part are missing, too long, or do not end.');
    }
    if (blank === -1) return false;
    const head = this.#rest.subarray(0, blank);
    if (head.includes(this.#opening)) throw invalidForm('The headers of a part have a boundary.');
    const disposition = dispositionOf(head.toString('utf8'));
    this.#keep(blank + headEnd.length);
    this.#open = {
      name: nameOf(disposition),
      isFile: /;\s*filename\*?=/i.test(disposition),
      start: this.#textBytes,
      fileStart: this.#fileBytes,
    };
    this.#state = 'value';
    return true;
  }

  #readValue(ofFiles: Buffer[]): boolean {
    const at = this.#findDelimiter();
    // What may be the beginning of a delimiter waits for the rest of it.
    const bytes = at === -1 ? Math.max(0, this.#rest.length - this.#delimiter.length + 1) : at;
    if (this.#open?.isFile) this.#handOn(bytes, ofFiles);
    else this.#keep(bytes);
    if (at === -1) return false;
    this.#close();
    this.#keep(this.#delimiter.length);
    this.#state = 'delimited';
    return true;
  }

  /** A boundary with half a line end in front of it, or with the one of the part's head, is one to some readers and none to others. */
  #findDelimiter(): number {
    for (let at = this.#rest.indexOf(this.#opening); at !== -1; ) {
      const last = this.#rest[at - 1];
      if (last === lineFeed && this.#rest[at - 2] === carriageReturn) return at - lineEnd.length;
      if ((at === 0 && this.#isAtStart()) || last === lineFeed || last === carriageReturn) {
        throw invalidForm('A boundary inside a part is not behind a whole line end.');
      }
      at = this.#rest.indexOf(this.#opening, at + 1);
    }
    return -1;
  }

  /** Whether nothing of the part that is read has been handed on. */
  #isAtStart(): boolean {
    return this.#open?.start === this.#textBytes && this.#open.fileStart === this.#fileBytes;
  }

  #close(): void {
    if (this.#open === undefined) return;
    const { name, isFile, start, fileStart } = this.#open;
    const value = { start, end: this.#textBytes };
    this.#fields.push({ name, isFile, value, file: { start: fileStart, end: this.#fileBytes } });
    this.#open = undefined;
  }

  #handOn(bytes: number, ofFiles: Buffer[]): void {
    if (bytes === 0) return;
    ofFiles.push(this.#rest.subarray(0, bytes));
    this.#rest = this.#rest.subarray(bytes);
    this.#fileBytes += bytes;
  }

  #keep(bytes: number): void {
    if (bytes === 0) return;
    this.#textBytes += bytes;
    if (this.#textBytes > maxTextBytes) {
      throw invalidForm(`What is no file in it is larger than ${maxTextBytes} bytes.`);
    }
    this.#text.push(Buffer.from(this.#rest.subarray(0, bytes))); // a copy: the chunk may be large
    this.#rest = this.#rest.subarray(bytes);
  }
}

/** @throws GatewayError invalid_request (`form_invalid`) when there is none, or one that two readers could read in two ways. */
export function boundaryOf(contentType: string | undefined): string {
  const match = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? '');
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw invalidForm('Its content type names no boundary.');
  const named = contentType?.match(/[\s;"]boundary[\s*\d]*=/gi)?.length;
  if (named !== 1) throw invalidForm('Its content type names more than one boundary.');
  return boundary;
}

function dispositionOf(head: string): string {
  const lines = head.split('\r\n');
  const found = lines.filter(line => /^content-disposition\s*:/i.test(line));
  const isUnclear = lines.some(line => /^[ \t]|[\r\n]/.test(line));
  if (found.length !== 1 || isUnclear)
    throw invalidForm('A part has no name that every reader would read alike.');
  return found[0] ?? '';
}

/** What two readers could read in two ways would let a field pass that the gateway does not see. */
function nameOf(disposition: string): string {
  const names = [...disposition.matchAll(/;\s*name(\*?)=(?:"([^"]*)"|([^\s;]+))/gi)];
  const [, star, quoted, bare] = names[0] ?? [];
  const name = quoted ?? bare;
  if (names.length !== 1 || star !== '' || name === undefined || !/^[\w.[\]-]{1,128}$/.test(name)) {
    throw invalidForm('A part has no name that every reader would read alike.');
  }
  return name;
}
