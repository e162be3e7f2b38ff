import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { expect, test } from 'vitest';
import type { Spool } from '../domain/spool.ts';
import { createReceiveForm } from './receive-forms.ts';

test('a client that leaves in the middle of its form is no failure, and what it sent is forgotten', async () => {
  const begun = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const spool: Spool = {
    append: async () => begun.resolve(),
    async *read() {},
    close: async () => closed.resolve(),
  };
  const receive = createReceiveForm({ openSpool: () => spool, maxFormBytes: () => 1_000_000 });
  const taken = Promise.withResolvers<Buffer>();
  const server = createServer((raw, response) => {
    const request = { raw, response, headers: raw.headers } as unknown as DirectRequest; // what it reads of one
    receive(request).then(taken.resolve, taken.reject);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(
    'POST / HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n' +
      `--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n${'x'.repeat(1000)}`,
  );
  await begun.promise;
  socket.destroy();
  await expect(taken.promise).rejects.toMatchObject({ kind: 'cancelled', reason: 'client_gone' });
  await closed.promise;
  server.close();
});
