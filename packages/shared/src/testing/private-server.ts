import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';

/** A server that a test started for itself: its own port, its own data, ended by its process id. */
export interface PrivateServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Asks it to end and waits. */
  stop(): Promise<void>;
  /** SIGKILL to it and the processes it made, and waits. */
  kill(): Promise<void>;
  /** SIGSTOP: it hangs, its sockets stay open. */
  pause(): void;
  resume(): void;
  /** Starts it on the same port and data, after ending it if it runs. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
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

/** The path of a program, looked for in `folders` and then in PATH. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter).filter(folder => folder !== '');
  return [...folders, ...path].map(folder => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A port of loopback that is free, below those that systems hand out to connections: none of them takes it before it is used. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(10_000, 32_768);
    if (await isFree(port)) return port;
  }
  throw new Error('No free port of loopback between 10,000 and 32,767');
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise(resolve => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The command as one that the kernel ends together with this process, however this process ends; where the kernel can. */
export function tiedToThisProcess(command: readonly string[], user?: string): string[] {
  const setpriv = findProgram('setpriv');
  if (setpriv === undefined) return [...command];
  const asUser = user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
  return [setpriv, '--pdeathsig=KILL', ...asUser, ...command];
}

/** Runs a program until `isReady` sees its readiness in the output. */
export async function launch(
  command: readonly string[],
  isReady: (output: string) => boolean,
): Promise<ChildProcess> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const ready = Promise.withResolvers<void>();
  const read = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-20_000);
    if (isReady(output)) ready.resolve();
  };
  child.stdout.on('data', read); // for as long as it runs: a full pipe would stop it
  child.stderr.on('data', read);
  child.once('error', ready.reject);
  child.once('exit', code => ready.reject(new Error(`${file} ended with ${code}:\n${output}`)));
  await ready.promise;
  return child;
}

export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Signals the child and waits for its end. A paused one is woken to hear of it; SIGKILL needs no hearing, and lets nothing more be done. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, 'exit');
  if (signal === 'SIGKILL') {
    signalFamily(child, signal);
  } else {
    signalFamily(child, 'SIGCONT');
    child.kill(signal);
  }
  await exited;
}

/** Signals a child that we started, and the processes it started, parents first so that none is replaced. */
export function signalFamily(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || !isRunning(child)) return;
  for (const pid of [child.pid, ...childrenOf(child.pid)]) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error; // it ended by itself meanwhile
    }
  }
}

function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(list)) return [];
  return readFileSync(list, 'utf8').split(' ').filter(Boolean).map(Number);
}
