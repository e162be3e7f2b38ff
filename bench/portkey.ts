import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { gatewayCore } from './gateways.ts';
import { pinned } from './processes.ts';

/** `@portkey-ai/gateway` as it comes from npm, on the core of the gateways. */
export async function startPortkey(): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort();
  const entry = createRequire(import.meta.url).resolve('@portkey-ai/gateway/build/start-server.js');
  const [file = '', ...args] = pinned(gatewayCore, [process.execPath, entry, `--port=${port}`, '--headless']);
  const child = spawn(file, args, { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    if (await answers(url)) break;
    if (tries > 200 || child.exitCode !== null) throw new Error('Portkey did not start');
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  return {
    url,
    stop: async () => {
      const ended = new Promise(resolve => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false; // not listening yet
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }; // a TCP server that listens has one
      server.close(() => resolve(port));
    });
  });
}
