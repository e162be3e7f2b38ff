import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/** The far end: a session for each connection, in the hands of the test. */
export class FakeRealtime {
  readonly sessions: { socket: WebSocket; request: IncomingMessage; heard: string[] }[] = [];
  readonly #http = createServer((_request, response) => response.end());
  readonly #sockets = new WebSocketServer({ noServer: true });
  refusal: number | undefined;
  refusalBody = '{}';
  retryAfter = '';
  /** Handshakes, refused ones among them. */
  asked = 0;
  onSession: (socket: WebSocket) => void = () => {};

  async start(): Promise<string> {
    this.#http.on('upgrade', (request, socket, head) => {
      this.asked++;
      if (this.refusal !== undefined) {
        const retry = this.retryAfter === '' ? '' : `retry-after: ${this.retryAfter}\r\n`;
        const { refusalBody: body } = this;
        socket.end(
          `HTTP/1.1 ${this.refusal} No\r\n${retry}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
        );
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, client => {
        const heard: string[] = [];
        this.sessions.push({ socket: client, request, heard });
        client.on('message', data => heard.push(String(data)));
        client.send(JSON.stringify({ type: 'session.created', session: { id: 'sess_1' } }));
        this.onSession(client);
      });
    });
    await new Promise<void>(resolve => this.#http.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/v1`;
  }

  get last() {
    const session = this.sessions.at(-1);
    if (session === undefined) throw new Error('no session was opened');
    return session;
  }

  close(): void {
    for (const { socket } of this.sessions) socket.terminate();
    this.#http.close();
    this.#http.closeAllConnections();
  }
}
