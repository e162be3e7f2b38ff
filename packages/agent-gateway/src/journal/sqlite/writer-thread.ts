import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { FromWriter, Outcome, ToWriter } from './operations.ts';
import { SqliteWriter } from './writer.ts';

/**
 * Waiting for the disk happens here, so that the event loop of the gateway never does. While one transaction is on its way,
 * others collect, and go together in the next: that is the whole of group commit.
 */
const maxBatch = 500;

const port = parentPort as MessagePort; // this file is only ever started as a thread
const writer = open();

port.on('message', (first: ToWriter | 'close') => {
  const batch: ToWriter[] = [];
  let isClosing = first === 'close';
  if (first !== 'close') batch.push(first);
  while (!isClosing && batch.length < maxBatch) {
    const next = receiveMessageOnPort(port);
    if (next === undefined) break;
    const message = next.message as ToWriter | 'close'; // from `SqliteJournal`, nobody else has the port
    if (message === 'close') isClosing = true;
    else batch.push(message);
  }
  if (batch.length > 0) say({ type: 'outcomes', outcomes: applyAll(batch) });
  if (isClosing) {
    writer.close();
    port.close();
  }
});
say({ type: 'ready' });

function applyAll(batch: readonly ToWriter[]): Outcome[] {
  try {
    return writer.applyAll(batch);
  } catch (error) {
    // One operation that cannot be done must not fail its neighbours: each is tried by itself.
    if (batch.length > 1) return batch.flatMap(each => applyAll([each]));
    return batch.map(({ id }) => ({ id, problem: error instanceof Error ? error.message : String(error) }));
  }
}

function open(): SqliteWriter {
  try {
    return new SqliteWriter((workerData as { path: string }).path); // given by `SqliteJournal`
  } catch (error) {
    say({ type: 'broken', problem: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}

function say(message: FromWriter): void {
  port.postMessage(message);
}
