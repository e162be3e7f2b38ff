import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { expect, test } from 'vitest';
import { ListenStream } from './listen-stream.ts';

test('a resource of which a server that is gone could not be asked is not asked of the next', async () => {
  let asked = 0;
  const stream = new ListenStream({
    clock: createManualClock(),
    meta: {},
    connection: () => {
      asked++;
      throw new Error('gone');
    },
    reopen: async () => {},
    onReturned: () => {},
  });
  await expect(stream.subscribe('a://')).rejects.toThrow('gone');
  stream.start({});
  await new Promise(resolve => setImmediate(resolve));
  expect(asked).toBe(1);
  stream.close();
});
