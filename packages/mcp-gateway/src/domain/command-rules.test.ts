import { expect, test } from 'vitest';
import { commandProblem } from './command-rules.ts';

const loaders =
  'sh bash dash zsh ksh fish env xargs npx npm pnpm yarn bunx uvx uv pipx pip sudo docker podman ssh awk sed find make git curl wget pwsh busybox nohup timeout'.split(
    ' ',
  );

test.each([
  ...loaders.map(program => [`/usr/bin/${program}`, 'anything']),
  ...['NPX', 'npx.cmd', 'Bash'].map(program => [`/usr/bin/${program}`, 'x']),
  ['npx', '-y', 'some-server'],
  ['node', '/srv/server.js'],
  ['./server'],
  ['/srv/../bin/sh'],
  ['/usr/bin/server', 'a\0b'],
  ...[
    '-e',
    '-p',
    '-pe',
    '-r',
    '--eval',
    '--eval=1',
    '--print',
    '--require=x',
    '--import=x',
    '--loader=x',
    '-',
  ].map(flag => ['/usr/bin/node', flag, '1']),
  ['/usr/bin/node'],
  ['/usr/bin/node', '--no-warnings', '-e', '1'],
  ['/usr/bin/node24', '-e', '1'],
  ...['-c', '-m', '-Ic', '-'].map(flag => ['/usr/bin/python3.12', flag, 'x']),
  ['/usr/bin/ruby', '-e', 'x'],
  ['/usr/bin/ruby', '-rsocket', 'x.rb'],
  ['/usr/bin/perl', '-E', 'x'],
  ['/usr/bin/perl', '-MSocket', 'x.pl'],
  ['/usr/bin/php', '-r', 'x'],
  ['/usr/bin/deno', 'eval', 'x'],
  ['/usr/bin/bun', 'x', 'server'],
  ['/usr/bin/java', '-javaagent:x.jar', 'Main'],
])('[M2] refused: %s %s %s', (...command) => {
  expect(commandProblem(command)).toBeDefined();
});

test.each([
  ['/usr/local/bin/server'],
  ['/usr/local/bin/server', '-e', '--eval', '; rm -rf /'],
  ['/usr/bin/node', '/srv/server.js', '-e'],
  ['/usr/bin/node', '--no-warnings', '/srv/server.js'],
  ['/usr/bin/python3', '-u', '/srv/server.py', '-c'],
])('a program that says which code runs is taken: %s %s %s', (...command) => {
  expect(commandProblem(command)).toBeUndefined();
});
