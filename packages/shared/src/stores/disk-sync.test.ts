import { expect, test } from 'vitest';
import { DiskSync } from './disk-sync.ts';

function heldBack() {
  const turns: PromiseWithResolvers<void>[] = [];
  const disk = new DiskSync(() => {
    const turn = Promise.withResolvers<void>();
    turns.push(turn);
    return turn.promise;
  });
  return { disk, turns };
}

test('who asks meanwhile waits for a turn that began after they asked, all for the same one', async () => {
  const { disk, turns } = heldBack();
  const done: string[] = [];
  const ask = (name: string) => disk.done().then(() => done.push(name));
  const first = ask('first');
  const others = [ask('second'), ask('third')];
  expect(turns).toHaveLength(1);
  turns[0]?.resolve();
  await first;
  await Promise.resolve();
  expect(done).toEqual(['first']);
  expect(turns).toHaveLength(2);
  turns[1]?.resolve();
  await Promise.all(others);
  expect([done, turns.length]).toEqual([['first', 'second', 'third'], 2]);
});

test('a disk that fails is told to those who shared the turn, and asked again by the next', async () => {
  const { disk, turns } = heldBack();
  const first = disk.done();
  const second = disk.done();
  turns[0]?.reject(new Error('EIO'));
  await expect(first).rejects.toThrow('EIO');
  while (turns.length < 2) await Promise.resolve();
  turns[1]?.resolve();
  await second;
  expect(turns).toHaveLength(2);
});
