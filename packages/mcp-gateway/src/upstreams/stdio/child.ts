import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** How to start one tool server: fixed by the configuration, never by a request (M1). */
export interface ChildDefinition {
  /** Program and arguments; no shell looks at them. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

/** Starts the program in a process group of its own. Failing to start shows as an `error` event, as Node reports it. */
export function startChild(definition: ChildDefinition): ChildProcessWithoutNullStreams {
  const [program, ...args] = definition.command;
  const [file, prefix] = dieWithParent();
  return spawn(file ?? program, file === undefined ? args : [...prefix, program, ...args], {
    cwd: definition.cwd,
    env: { ...definition.environment },
    detached: true,
    shell: false,
    windowsHide: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Signals the whole group: a server's own children get it too. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ESRCH: nobody is left, which was the aim
  }
}

let wrapper: [string, string[]] | undefined;
let isProbed = false;

/** `setpriv` asks the kernel to kill the child the moment its parent dies (PR_SET_PDEATHSIG), where it exists. */
function dieWithParent(): [string | undefined, string[]] {
  if (!isProbed) {
    isProbed = true;
    const path = ['/usr/bin/setpriv', '/bin/setpriv'].find(candidate => existsSync(candidate));
    const args = ['--pdeathsig', 'KILL', '--'];
    const works = path !== undefined && spawnSync(path, [...args, 'true'], { stdio: 'ignore' }).status === 0;
    if (path !== undefined && works) wrapper = [path, args];
  }
  return wrapper ?? [undefined, []];
}
