import { existsSync } from 'node:fs';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** What a tool server's process may use at most; enforced by the kernel (setrlimit(2)). */
export interface ProcessLimits {
  readonly memoryBytes: number | undefined;
  readonly cpuSeconds: number | undefined;
  readonly openFiles: number | undefined;
  readonly fileBytes: number | undefined;
}

/** What of the machine a tool server sees, when it runs in a sandbox. */
export interface Sandbox {
  readonly hasNetwork: boolean;
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Processes and threads in it at a time; the kernel counts those of one user in the sandbox, and none of root's (setrlimit(2), RLIMIT_NPROC). */
  readonly processes: number | undefined;
}

/** Programs and libraries, and what name lookups and TLS need. Nothing of `/home`, `/root`, `/run`, `/var`. */
const systemPaths = ['/usr', '/bin', '/sbin', '/lib', '/lib64'];
const lookupPaths = [
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/nsswitch.conf',
  '/etc/ssl',
  '/etc/ca-certificates',
];

/**
 * The command that starts `command` within the limits and the sandbox: `prlimit` (util-linux), then `bwrap` (bubblewrap). A tool that is
 * asked for and missing is an error; nothing is started less confined than the operator said.
 *
 * @throws GatewayError upstream_failed (`sandbox_unavailable`)
 */
export function confined(
  command: readonly [string, ...string[]],
  options: {
    readonly limits: ProcessLimits;
    readonly sandbox: Sandbox | undefined;
    readonly cwd: string | undefined;
    readonly home: string | undefined;
    readonly find?: (program: string) => string | undefined;
  },
): readonly [string, ...string[]] {
  const find = options.find ?? findProgram;
  const inside = options.sandbox
    ? ([
        require(find, 'bwrap'),
        ...sandboxArguments(options.sandbox, options),
        '--',
        ...counted(options.sandbox, command, find),
      ] as const)
    : command;
  const limits = limitArguments(options.limits);
  return limits.length === 0 ? inside : [require(find, 'prlimit'), ...limits, '--', ...inside];
}

function limitArguments({ memoryBytes, cpuSeconds, openFiles, fileBytes }: ProcessLimits): string[] {
  const flags = { as: memoryBytes, cpu: cpuSeconds, nofile: openFiles, fsize: fileBytes };
  return ['core', ...Object.keys(flags)].flatMap(name => {
    const isLimited = Object.values(flags).some(value => value !== undefined);
    if (name === 'core') return isLimited ? ['--core=0'] : [];
    const value = flags[name as keyof typeof flags]; // from its own keys
    return value === undefined ? [] : [`--${name}=${value}`];
  });
}

function sandboxArguments(
  sandbox: Sandbox,
  { cwd, home }: { readonly cwd: string | undefined; readonly home: string | undefined },
): string[] {
  const bind = (flag: string, paths: readonly string[]) => paths.flatMap(path => [flag, path, path]);
  return [
    '--die-with-parent',
    '--unshare-all',
    ...(sandbox.hasNetwork ? ['--share-net'] : []),
    '--cap-drop',
    'ALL',
    ...bind('--ro-bind-try', systemPaths),
    ...(sandbox.hasNetwork ? bind('--ro-bind-try', lookupPaths) : []),
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--tmpfs',
    '/tmp',
    ...(home === undefined ? [] : ['--tmpfs', home]),
    ...bind('--ro-bind', sandbox.read),
    ...bind('--bind', sandbox.write),
    ...(cwd === undefined ? [] : ['--chdir', cwd]),
  ];
}

/** Inside the sandbox: outside, everything else that the user runs would count too. */
function counted(
  { processes }: Sandbox,
  command: readonly string[],
  find: (program: string) => string | undefined,
): readonly string[] {
  return processes === undefined
    ? command
    : [require(find, 'prlimit'), `--nproc=${processes}`, '--', ...command];
}

function require(find: (program: string) => string | undefined, program: string): string {
  const path = find(program);
  if (path !== undefined) return path;
  throw new GatewayError('upstream_failed', `'${program}' is not installed, and this server needs it.`, {
    reason: 'sandbox_unavailable',
  });
}

function findProgram(program: string): string | undefined {
  return ['/usr/bin', '/bin', '/usr/local/bin'].map(folder => `${folder}/${program}`).find(existsSync);
}
