import { createServer, request as dial } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Lets clients in that know no keys, such as conformance suites: passes every request on to one of the gateways in turn, with
 * a key put in and everything else, `Host` included, as it came.
 */
export async function openDoor(
  gateways: readonly { readonly url: URL; readonly key: string }[],
): Promise<{ url: string; close(): Promise<void> }> {
  let turn = 0;
  const door = createServer((incoming, outgoing) => {
    const gateway = gateways[turn++ % gateways.length];
    if (!gateway) return;
    const { hostname, port } = gateway.url;
    const headers = { ...incoming.headers, authorization: `Bearer ${gateway.key}` };
    const onward = dial(
      { hostname, port, method: incoming.method, path: incoming.url, headers, setHost: false },
      response => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        outgoing.flushHeaders();
        response.pipe(outgoing);
        response.on('error', () => outgoing.destroy());
      },
    );
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>(resolve => door.listen(0, '127.0.0.1', resolve));
  const { port } = door.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://localhost:${port}/mcp`,
    async close() {
      door.closeAllConnections();
      await new Promise(resolve => door.close(resolve));
    },
  };
}
