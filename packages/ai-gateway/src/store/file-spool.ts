import { mkdirSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@strata/shared/ids.ts';
import type { Span } from '@strata/shared/json/json-text.ts';
import type { OpenSpool, Spool } from '../domain/spool.ts';

const maxMemoryBytes = 256 * 1024;
const readBytes = 64 * 1024;

/** Spools whose files lie in a folder that is made here. */
export function createFileSpools(folder: string): OpenSpool {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return () => createFileSpool(folder);
}

/** Few bytes are kept in memory, more in a file of that folder. The file has no name from its first byte on: nothing of it outlives the process. */
function createFileSpool(folder: string): Spool {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let file: FileHandle | undefined;
  let isClosed = false;

  async function openFile(): Promise<FileHandle> {
    const path = join(folder, newId('upload'));
    const opened = await open(path, 'wx+', 0o600);
    await unlink(path);
    return opened;
  }

  async function* readFile(from: FileHandle, { start, end }: Span): AsyncGenerator<Buffer> {
    for (let at = start; at < end; ) {
      const wanted = Math.min(readBytes, end - at);
      const { bytesRead, buffer } = await from.read(Buffer.allocUnsafe(wanted), 0, wanted, at);
      if (bytesRead === 0) throw new Error('The spool is shorter than what was put into it');
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  return {
    async append(chunk) {
      if (isClosed) throw new Error('The spool is closed');
      if (file === undefined && heldBytes + chunk.length <= maxMemoryBytes) {
        held.push(Buffer.from(chunk)); // a copy: it may be a part of something large
        heldBytes += chunk.length;
        return;
      }
      if (file === undefined) {
        file = await openFile();
        for (const each of held) await file.appendFile(each);
        held = [];
      }
      await file.appendFile(chunk);
    },
    async *read(span) {
      if (file !== undefined) yield* readFile(file, span);
      else if (span.end > span.start) yield Buffer.concat(held).subarray(span.start, span.end);
    },
    async close() {
      isClosed = true;
      held = [];
      const opened = file;
      file = undefined;
      await opened?.close();
    },
  };
}
