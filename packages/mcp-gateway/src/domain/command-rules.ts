import { basename } from 'node:path/posix';

/** Programs that run whatever their arguments or the network say: what was looked at is not what runs (M2). */
const loaders = new Set(
  [
    'sh bash dash zsh ksh csh tcsh fish ash busybox env xargs nohup timeout watch script expect',
    'npx npm pnpm pnpx yarn bunx uvx uv pipx pip poetry conda cargo go gem bundle',
    'sudo su doas docker podman nerdctl kubectl ssh systemd-run nsenter unshare chroot',
    'powershell pwsh cmd osascript awk gawk sed find vi vim ed tclsh make git curl wget',
  ].flatMap(line => line.split(' ')),
);

/** Options by which an interpreter runs or loads other code than the script that is named. */
const interpreters: Readonly<Record<string, RegExp>> = {
  node: /^(?:-[epr]|-pe|--eval.*|--print.*|--require.*|--import.*|--loader.*|--experimental-loader.*|--env-file.*|--inspect.*|-)$/,
  deno: /^(?:eval|repl|https?:.*|npm:.*|jsr:.*|--preload.*|-A|--allow-all)$/,
  bun: /^(?:-[epr]|--eval.*|--print.*|--preload.*|--require.*|x)$/,
  python: /^-(?:[a-zA-Z]*[cm].*)?$/,
  ruby: /^-(?:[a-zA-Z]*[erI].*)?$/,
  perl: /^-(?:[a-zA-Z]*[eEMmI].*)?$/,
  php: /^-(?:[a-zA-Z]*[rRBEFd].*)?$/,
  java: /^(?:-javaagent.*|-agentlib.*|-agentpath.*|@.*)$/,
};

/** What is wrong with a command that an admin registers from afar: it must say which code runs. */
export function commandProblem(command: readonly string[]): string | undefined {
  const [program = '', ...args] = command;
  if (!program.startsWith('/')) return 'the program must be an absolute path';
  if (program.includes('/../') || command.some(part => part.includes('\0')))
    return 'the command is not plain';
  const name = basename(program)
    .toLowerCase()
    .replace(/\.(?:exe|cmd|bat)$/, '');
  if (loaders.has(name)) return `'${name}' runs whatever it is told; name the program itself`;
  const stem = name.replace(/[\d.]+$/, '');
  const dangerous = Object.hasOwn(interpreters, stem) ? interpreters[stem] : undefined;
  if (!dangerous) return undefined;
  const [script] = args;
  if (script === undefined) return `'${name}' needs the path of a script`;
  const upToScript = args.slice(0, args.findIndex(each => !each.startsWith('-')) + 1 || args.length);
  const bad = upToScript.find(each => dangerous.test(each));
  return bad === undefined ? undefined : `'${name} ${bad}' runs other code than a script`;
}
