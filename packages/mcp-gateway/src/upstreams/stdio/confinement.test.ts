import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { expect, test } from 'vitest';
import { confined } from './confinement.ts';

const none = { memoryBytes: undefined, cpuSeconds: undefined, openFiles: undefined, fileBytes: undefined };
const find = (program: string) => `/usr/bin/${program}`;
const place = { cwd: undefined, home: '/home/me' };

test('without limits and sandbox the command is what was configured', () => {
  expect(confined(['server', '--flag'], { limits: none, sandbox: undefined, ...place })).toEqual([
    'server',
    '--flag',
  ]);
});

test('[M4] the sandbox is inside the limits, shares nothing it was not told to, and the command comes last', () => {
  const command = confined(['server', '--flag; rm -rf /'], {
    limits: { ...none, memoryBytes: 1024, openFiles: 64 },
    sandbox: { hasNetwork: false, read: ['/data'], write: ['/work'], processes: 10 },
    cwd: '/work',
    home: '/home/me',
    find,
  });
  expect(command.slice(0, 6)).toEqual([
    '/usr/bin/prlimit',
    '--core=0',
    '--as=1024',
    '--nofile=64',
    '--',
    '/usr/bin/bwrap',
  ]);
  expect(command.slice(-6)).toEqual([
    '--',
    '/usr/bin/prlimit',
    '--nproc=10',
    '--',
    'server',
    '--flag; rm -rf /',
  ]);
  expect(command).toContain('--unshare-all');
  expect(command).not.toContain('--share-net');
  expect(command.join(' ')).toContain('--ro-bind /data /data --bind /work /work --chdir /work');
  expect(command.join(' ')).toContain('--tmpfs /home/me');
});

test('a sandbox that is asked for and missing is an error, not a server without one', () => {
  const sandbox = { hasNetwork: true, read: [], write: [], processes: undefined };
  const start = () => confined(['server'], { limits: none, sandbox, ...place, find: () => undefined });
  expect(start).toThrow(GatewayError);
});
