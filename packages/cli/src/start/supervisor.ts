import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ServiceProcess {
  readonly name: string;
  /** Arguments for Node: the entry file and its options. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface SupervisorEvents {
  onReady(name: string, url: string, tookMs: number): void;
  /** A line of a child's log that a person should see: warnings and worse, or plain text. */
  onNotice(name: string, text: string): void;
  onRestart(name: string, reason: string, delayMs: number): void;
  /** A service that cannot be kept up. Everything else is being stopped. */
  onGivenUp(name: string, reason: string): void;
}

/** Exit code with which a service says that its configuration is wrong: starting it again cannot help. */
const configurationExitCode = 2;
const restartWindowMs = 60_000;
const maxRestartsInWindow = 5;
const firstRestartDelayMs = 100;
const killAfterMs = 40_000;

/**
 * Keeps one process a service alive. A child has a process group of its own, so that Ctrl-C reaches the supervisor alone,
 * which then asks each child to drain. If the supervisor dies, the children notice the closed channel and drain too.
 */
export class Supervisor {
  readonly #logFolder: string;
  readonly #events: SupervisorEvents;
  readonly #children = new Map<string, ChildProcess>();
  readonly #logs = new Map<string, WriteStream>();
  readonly #restarts = new Map<string, number[]>();
  #stopping = false;
  #givenUp: (code: number) => void = () => {};

  /** Resolves with an exit code when a service could not be kept up. */
  readonly failed: Promise<number> = new Promise(resolve => {
    this.#givenUp = resolve;
  });

  constructor(logFolder: string, events: SupervisorEvents) {
    this.#logFolder = logFolder;
    this.#events = events;
    mkdirSync(logFolder, { recursive: true });
  }

  /** Starts a service and resolves with its URL once it says that it is ready. */
  start(service: ServiceProcess): Promise<string> {
    return new Promise(resolve => {
      this.#spawn(service, resolve);
    });
  }

  /** Asks every child to drain and resolves when all are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = [...this.#children.values()];
    await Promise.all(running.map(child => endOf(child)));
    await Promise.all([...this.#logs.values()].map(log => new Promise<void>(resolve => log.end(resolve))));
  }

  #spawn(service: ServiceProcess, onReady: (url: string) => void): void {
    const startedAt = performance.now();
    const child = spawn(process.execPath, service.args, {
      env: service.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    this.#children.set(service.name, child);
    this.#follow(service.name, child);
    child.on('message', (message: unknown) => {
      if (!isReady(message)) return;
      this.#events.onReady(service.name, message.url, performance.now() - startedAt);
      onReady(message.url);
    });
    child.once('exit', (code, signal) => {
      this.#children.delete(service.name);
      if (!this.#stopping) this.#recover(service, code, signal, onReady);
    });
  }

  #recover(
    service: ServiceProcess,
    code: number | null,
    signal: NodeJS.Signals | null,
    onReady: (url: string) => void,
  ): void {
    const reason = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
    const now = performance.now();
    const recent = (this.#restarts.get(service.name) ?? []).filter(at => now - at < restartWindowMs);
    if (code === configurationExitCode || recent.length >= maxRestartsInWindow) {
      this.#events.onGivenUp(service.name, reason);
      this.#givenUp(code === configurationExitCode ? configurationExitCode : 1);
      return;
    }
    this.#restarts.set(service.name, [...recent, now]);
    const delayMs = firstRestartDelayMs * 2 ** recent.length;
    this.#events.onRestart(service.name, reason, delayMs);
    setTimeout(() => {
      if (!this.#stopping) this.#spawn(service, onReady);
    }, delayMs);
  }

  #follow(name: string, child: ChildProcess): void {
    const log = this.#logs.get(name) ?? createWriteStream(join(this.#logFolder, `${name}.log`));
    this.#logs.set(name, log);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', line => {
        log.write(`${line}\n`);
        const notice = noticeIn(line);
        if (notice !== undefined) this.#events.onNotice(name, notice);
      });
    }
  }
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}

function isReady(message: unknown): message is { type: 'ready'; url: string } {
  return (
    typeof message === 'object' &&
    message !== null &&
    'type' in message &&
    message.type === 'ready' &&
    'url' in message &&
    typeof message.url === 'string'
  );
}

const warningLevel = 40;

/** A JSON log line is shown from `warn` on, as `message (key=value …)`; any other line is shown as it is. */
function noticeIn(line: string): string | undefined {
  if (!line.startsWith('{')) return line === '' ? undefined : line;
  try {
    const { level, msg, time, pid, hostname, service, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof level === 'number' && level < warningLevel) return undefined;
    const facts = Object.entries(rest).map(
      ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    return `${String(msg)}${facts.length > 0 ? ` (${facts.join(' ').slice(0, 400)})` : ''}`;
  } catch {
    return line;
  }
}
