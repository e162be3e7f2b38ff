import type { DialRequest } from '@strata/shared/http/dialer.ts';

type Headers = DialRequest['headers'];

/** What every request to one server carries in one session: the operator's headers, and what the handshake brought. */
export class SessionHeaders {
  readonly #own: Readonly<Record<string, string>>;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** The same object until something changes, so that it is looked through once. */
  #post: Headers | undefined;

  constructor(own: Readonly<Record<string, string>>) {
    this.#own = own;
  }

  get hasSession(): boolean {
    return this.#sessionId !== undefined;
  }

  /** The id that the server chose; the first one counts. */
  setSession(id: string | undefined): void {
    if (id === undefined || this.#sessionId !== undefined) return;
    this.#sessionId = id;
    this.#post = undefined;
  }

  setVersion(version: string): void {
    this.#version = version;
    this.#post = undefined;
  }

  ofPost(): Headers {
    this.#post ??= Object.freeze({
      ...this.of('application/json, text/event-stream'),
      'content-type': 'application/json',
    });
    return this.#post;
  }

  of(accept: string): Headers {
    return {
      ...this.#own,
      accept,
      'mcp-session-id': this.#sessionId,
      'mcp-protocol-version': this.#version,
    };
  }
}
