import type { Span } from '@strata/shared/json/json-text.ts';

/** Bytes of any number that are kept for the time of one request, and take little memory. */
export interface Spool {
  /** Behind what is there. Await it before the next. */
  append(chunk: Buffer): Promise<void>;
  read(span: Span): AsyncIterable<Buffer>;
  /** Forgets them. What is read then fails. Safe to call again. */
  close(): Promise<void>;
}

export type OpenSpool = () => Spool;
