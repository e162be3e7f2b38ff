import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Makes sure that no tool server outlives its gateway (MCP-4), not even when the gateway is killed with SIGKILL and no
 * handler of its own can run. A small shell process reads the process groups to watch from a pipe; when the pipe ends,
 * the gateway is gone, and every group that is left is killed: the servers and whatever they started.
 */
export interface Reaper {
  watch(group: number): void;
  release(group: number): void;
  close(): void;
}

const script = `
trap '' INT TERM HUP
groups=' '
while read -r verb group; do
  case $verb in
    watch) groups="$groups$group " ;;
    release) case $groups in *" $group "*) groups="\${groups%%" $group "*} \${groups#*" $group "}" ;; esac ;;
  esac
done
for group in $groups; do kill -KILL -"$group" 2>/dev/null; done
exit 0
`;

export function createReaper(): Reaper {
  let shell: ChildProcess | undefined;
  const watched = new Set<number>();

  const open = (): ChildProcess => {
    // A group of its own, so that a Ctrl-C meant for the gateway does not end it first.
    const child = spawn('/bin/sh', ['-c', script], {
      detached: true,
      env: {},
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.stdin?.on('error', () => {}); // the shell is gone; 'exit' opens another
    child.on('error', () => {
      shell = undefined;
    });
    child.on('exit', () => {
      if (shell === child) shell = undefined;
    });
    child.unref();
    for (const group of watched) child.stdin?.write(`watch ${group}\n`);
    return child;
  };

  return {
    watch(group) {
      shell ??= open();
      watched.add(group);
      shell.stdin?.write(`watch ${group}\n`);
    },
    release(group) {
      watched.delete(group);
      shell?.stdin?.write(`release ${group}\n`);
    },
    close() {
      shell?.stdin?.end();
      shell = undefined;
    },
  };
}
