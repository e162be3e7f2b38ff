import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Checks that the files a server is started from are those the operator saw, before each start (M1). */
export interface PinnedFiles {
  /** @throws GatewayError upstream_failed (`server_files_changed`) */
  check(): Promise<void>;
}

export function createPinnedFiles(server: string, pins: Readonly<Record<string, string>>): PinnedFiles {
  /** What a file looked like when its digest was found right: reading it again would find the same. */
  const seen = new Map<string, string>();
  return {
    async check() {
      for (const [path, expected] of Object.entries(pins)) {
        const looks = await appearance(path);
        if (looks !== undefined && seen.get(path) === looks) continue;
        if (looks === undefined || (await digestOf(path)) !== expected) throw changed(server, path);
        seen.set(path, looks);
      }
    },
  };
}

async function appearance(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function changed(server: string, path: string): GatewayError {
  return new GatewayError(
    'upstream_failed',
    `A file of the server '${server}' is not the one that was pinned.`,
    {
      reason: 'server_files_changed',
      details: { server, file: path },
    },
  );
}
