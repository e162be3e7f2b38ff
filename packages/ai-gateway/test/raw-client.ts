import { connect, type Socket } from 'node:net';

/** A client on a bare socket, so that the test decides when it leaves and what it reads. */
export class RawClient {
  readonly socket: Socket;
  readonly #key: string;
  text = '';
  #waiting: (() => void)[] = [];

  constructor({ url, key }: { readonly url: string; readonly key: string }) {
    this.#key = key;
    this.socket = connect(Number(new URL(url).port), '127.0.0.1');
    this.socket.setEncoding('utf8');
    this.socket.on('data', (chunk: string) => {
      this.text += chunk;
      for (const check of this.#waiting) check();
    });
    this.socket.on('error', () => {}); // a reset of ours comes back as one
    this.socket.on('close', () => {
      for (const check of this.#waiting) check();
    });
  }

  send(body: object, path = '/v1/chat/completions'): void {
    const text = JSON.stringify(body);
    this.socket.write(
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${this.#key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
  }

  /** Resolves when the text holds `part`. */
  until(part: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.text.includes(part)) resolve();
        else if (this.socket.closed) reject(new Error(`closed before '${part}' came`));
      };
      this.#waiting.push(check);
      check();
    });
  }
}
