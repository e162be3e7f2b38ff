import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** A server that a test started for itself: its own port, its own data, ended by its process id. */
export interface PrivateServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Asks it to end and waits. */
  stop(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data. */
  restart(): Promise<void>;
  /** Stops it and removes its data. */
  close(): Promise<void>;
}

/** What a suite gets where the server is not installed: a plain reason to show. */
export interface ServerMissing {
  readonly missing: string;
}

export function isMissing(server: PrivateServer | ServerMissing): server is ServerMissing {
  return 'missing' in server;
}

/** @throws Error on CI, where a missing server is a failure and not a reason to skip. */
export function serverMissing(name: string): ServerMissing {
  const missing = `${name} is not installed (scripts/install-test-servers.sh installs it)`;
  if (process.env.CI === 'true') throw new Error(missing);
  process.stderr.write(`skipped: ${missing}\n`);
  return { missing };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  await new Promise(resolve => server.close(resolve));
  return port;
}

/** Runs a program until `isReady` sees its readiness in the output. */
export async function launch(
  command: readonly string[],
  isReady: (output: string) => boolean,
): Promise<ChildProcess> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000);
      if (isReady(output)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`${file} ended with ${code}:\n${output}`)));
  });
  child.stdout.resume();
  child.stderr.resume();
  return child;
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
