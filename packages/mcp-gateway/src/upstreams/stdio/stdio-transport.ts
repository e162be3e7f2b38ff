import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Withheld } from '@strata/shared/http/withhold-credentials.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { idOfCutAnswer } from '../../wire/cut-answer.ts';
import { onOneLine } from '../../wire/splice.ts';
import { resultTooLarge } from '../result-size.ts';
import type { Transport, TransportEvents } from '../transport.ts';
import { type ChildDefinition, signalGroup, startChild } from './child.ts';
import { type CutLine, createLineSplitter } from './line-splitter.ts';
import type { Reaper } from './reaper.ts';
import { createStderrTail, type StderrTail } from './stderr-tail.ts';

export interface StdioLimits {
  readonly maxLineBytes: number;
  /** Bytes that may wait for a server that does not read its input (F54). */
  readonly maxInputBytes: number;
  /** Lines in a row that are not JSON before the server is stopped (M21). */
  readonly maxBadLines: number;
  /** Past this the server's output is left in its pipe for a moment, so that it waits and nobody else does (F68). */
  readonly maxLinesPerSecond: number;
  /** Between closing stdin, SIGTERM and SIGKILL. */
  readonly stopGraceMs: number;
}

export interface StdioTransportOptions {
  readonly server: string;
  /** @throws GatewayError upstream_failed, when the server cannot be confined as the operator wants it */
  readonly definition: () => ChildDefinition;
  readonly limits: StdioLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reaper: Reaper;
  /** Of what its stderr says in the log. */
  readonly withheld: Withheld;
  readonly onEnded: (livedMs: number, wasWanted: boolean) => void;
}

const stderrTailBytes = 4096;
const rateWindowMs = 100;
/** After the process is gone its pipes may be held open by what it started; do not wait for them longer than this. */
const pipeGraceMs = 250;
/** A line that is as many times longer than the longest one allowed has no end. */
const endless = 16;

type State =
  | { readonly status: 'idle' }
  | { readonly status: 'running'; readonly child: ChildProcessWithoutNullStreams; readonly sinceMs: number }
  | { readonly status: 'ended' };

/** One process, one JSON-RPC message a line on its stdin and stdout, its stderr captured and capped. */
export class StdioTransport implements Transport {
  readonly #options: StdioTransportOptions;
  readonly #events: TransportEvents;
  readonly #stderr: StderrTail;
  readonly #ended = Promise.withResolvers<void>();
  #state: State = { status: 'idle' };
  #isWanted = true;
  #badLines = 0;
  #window = { startMs: 0, lines: 0 };
  #timers = new Set<Scheduled>();

  constructor(options: StdioTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#stderr = createStderrTail(stderrTailBytes, options.withheld);
  }

  async start(): Promise<void> {
    const { definition, server, clock, reaper } = this.#options;
    if (this.#state.status !== 'idle') throw new Error('a transport starts once');
    const child = startChild(definition());
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', cause => {
        this.#state = { status: 'ended' };
        this.#ended.resolve();
        reject(
          new GatewayError('upstream_failed', `The server '${server}' could not be started.`, {
            reason: 'server_not_started',
            details: { server },
            cause,
          }),
        );
      });
    });
    if (child.pid !== undefined) reaper.watch(child.pid);
    this.#state = { status: 'running', child, sinceMs: clock.monotonic() };
    this.#listen(child);
    if (!this.#isWanted) this.#stop(child);
  }

  send(bytes: Buffer, request: number | undefined): void {
    if (this.#state.status !== 'running') {
      this.#refuse(request, this.#gone('is not running'));
      return;
    }
    const { stdin } = this.#state.child;
    if (stdin.writableLength > this.#options.limits.maxInputBytes) {
      this.#refuse(request, this.#notReading());
      return;
    }
    stdin.write(onOneLine(bytes));
    stdin.write('\n');
  }

  abandon(): void {}

  opened(): void {}

  async close(): Promise<void> {
    this.#isWanted = false;
    if (this.#state.status === 'idle') return;
    if (this.#state.status === 'running') this.#stop(this.#state.child);
    await this.#ended.promise;
  }

  #refuse(request: number | undefined, error: GatewayError): void {
    if (request !== undefined) this.#events.onRequestFailed(request, error);
  }

  #listen(child: ChildProcessWithoutNullStreams): void {
    const { maxLineBytes } = this.#options.limits;
    const lines = createLineSplitter(maxLineBytes);
    child.stdin.on('error', () => {}); // EPIPE: the process is going, 'exit' tells why
    child.stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    child.stdout.on('data', (chunk: Buffer) => {
      if (this.#state.status !== 'running') return;
      const complete = lines.push(chunk);
      for (const line of complete) this.#readLine(child, line);
      if (lines.openBytes > maxLineBytes * endless) this.#kill(child, 'writes a line without end');
      this.#slowDown(child, complete.length);
    });
    child.once('close', () => this.#end(child));
    child.once('exit', () => {
      if (child.pid !== undefined) {
        signalGroup(child.pid, 'SIGKILL'); // what it started and left behind
        this.#options.reaper.release(child.pid);
      }
      this.#after(pipeGraceMs, () => this.#end(child));
    });
  }

  #readLine(child: ChildProcessWithoutNullStreams, line: Buffer | CutLine): void {
    if (this.#state.status !== 'running') return;
    const { server, limits, log } = this.#options;
    if (Buffer.isBuffer(line)) {
      if (line.length === 0) return;
      if (isMessage(line)) {
        this.#badLines = 0;
        this.#events.onMessage(line, undefined);
        return;
      }
    } else {
      const request = idOfCutAnswer(line);
      if (request !== undefined) {
        this.#events.onRequestFailed(request, resultTooLarge(server, limits.maxLineBytes));
        return;
      }
    }
    this.#badLines++;
    const bytes = Buffer.isBuffer(line) ? line.length : line.bytes;
    log.warn({ server, bytes }, 'server wrote a line that is no message');
    if (this.#badLines >= this.#options.limits.maxBadLines)
      this.#kill(child, 'writes lines that are no messages');
  }

  /** Leaves further output in the pipe until the window is over; the kernel then makes the server wait. */
  #slowDown(child: ChildProcessWithoutNullStreams, lines: number): void {
    const { clock, limits } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#window.startMs >= rateWindowMs) this.#window = { startMs: nowMs, lines: 0 };
    this.#window.lines += lines;
    if (this.#window.lines <= (limits.maxLinesPerSecond * rateWindowMs) / 1000) return;
    child.stdout.pause();
    this.#after(Math.max(1, rateWindowMs - (nowMs - this.#window.startMs)), () => child.stdout.resume());
  }

  #kill(child: ChildProcessWithoutNullStreams, what: string): void {
    this.#finish(this.#gone(what));
    if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
  }

  /** stdin closed, then SIGTERM, then SIGKILL (2025-11-25, lifecycle, "stdio"). */
  #stop(child: ChildProcessWithoutNullStreams): void {
    const { pid } = child;
    if (pid === undefined || child.exitCode !== null) return;
    child.stdin.end();
    const { stopGraceMs } = this.#options.limits;
    this.#after(stopGraceMs, () => {
      signalGroup(pid, 'SIGTERM');
      this.#after(stopGraceMs, () => signalGroup(pid, 'SIGKILL'));
    });
  }

  #end(child: ChildProcessWithoutNullStreams): void {
    const status = child.signalCode ?? (child.exitCode === null ? 'unknown' : `code ${child.exitCode}`);
    this.#finish(this.#gone(`ended (${status})`));
    for (const timer of this.#timers) timer.cancel();
    child.stdout.destroy();
    child.stderr.destroy();
    this.#ended.resolve();
  }

  #finish(error: GatewayError): void {
    if (this.#state.status !== 'running') return;
    const livedMs = this.#options.clock.monotonic() - this.#state.sinceMs;
    this.#state = { status: 'ended' };
    this.#options.onEnded(livedMs, !this.#isWanted);
    this.#events.onClosed(error);
  }

  #notReading(): GatewayError {
    const { server } = this.#options;
    return new GatewayError('overloaded', `The server '${server}' does not read its input.`, {
      reason: 'server_not_reading',
      details: { server },
    });
  }

  #gone(what: string): GatewayError {
    const { server, log } = this.#options;
    const stderr = this.#stderr.text();
    if (this.#isWanted) log.warn({ server, stderr }, `server ${what}`);
    return new GatewayError('upstream_failed', `The server '${server}' ${what}.`, {
      reason: 'server_gone',
      details: { server },
    });
  }

  #after(ms: number, action: () => void): void {
    const timer = this.#options.clock.schedule(ms, () => {
      this.#timers.delete(timer);
      action();
    });
    this.#timers.add(timer);
  }
}

function isMessage(line: Buffer): boolean {
  return line[0] === 0x7b || line[0] === 0x5b || line.toString('utf8', 0, 64).trimStart().startsWith('{');
}
