import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { asyncFaultPoint, faultPoint } from '../fault-point.ts';
import { type ArmedFaults, armFaults, armFaultsFrom, InjectedFault } from './fault-points.ts';

let armed: ArmedFaults | undefined;
afterEach(() => armed?.disarm());

test('[H14] a point that nobody armed does nothing, at no cost worth naming', () => {
  expect(faultPoint('x')).toBeUndefined();
  expect(asyncFaultPoint('x')).toBeUndefined();
  const started = performance.now();
  for (let pass = 0; pass < 1_000_000; pass++) faultPoint('x');
  expect(performance.now() - started).toBeLessThan(200);
});

test('[H14] throws at the n-th pass of the point named, and only there', async () => {
  const error = new Error('mine');
  armed = armFaults([
    { at: 'commit', pass: 3, action: 'throw' },
    { at: 'send', action: 'throw', error },
  ]);
  faultPoint('commit');
  faultPoint('other');
  faultPoint('commit');
  expect(() => faultPoint('commit')).toThrow(InjectedFault);
  faultPoint('commit');
  await expect((async () => asyncFaultPoint('send'))()).rejects.toBe(error);
  expect(Object.fromEntries(armed.passes)).toEqual({ commit: 4, other: 1, send: 1 });
  armed.disarm();
  faultPoint('send');
});

test('[H14] holds asynchronous code back until the test lets it go', async () => {
  const gate = Promise.withResolvers<void>();
  armed = armFaults([{ at: 'commit', action: 'pause', release: gate.promise }]);
  const seen: string[] = [];
  const work = (async () => {
    seen.push('before');
    await asyncFaultPoint('commit');
    seen.push('after');
  })();
  await armed.reached('commit');
  await new Promise(setImmediate);
  expect(seen).toEqual(['before']);
  gate.resolve();
  await work;
  expect(seen).toEqual(['before', 'after']);
  await armed.reached('commit');
});

test('a pause where nothing can wait is a mistake that says so', () => {
  armed = armFaults([{ at: 'commit', action: 'pause' }]);
  expect(() => faultPoint('commit')).toThrow('asyncFaultPoint');
});

test('one set of faults at a time', () => {
  armed = armFaults([]);
  expect(() => armFaults([])).toThrow('already armed');
});

const program = `
  import { faultPoint } from ${JSON.stringify(new URL('../fault-point.ts', import.meta.url).href)};
  for (let pass = 1; pass <= 2000; pass++) {
    process.stdout.write('.');
    faultPoint('step');
  }
`;

async function runProgram(environment: Record<string, string>) {
  const armFile = fileURLToPath(new URL('./arm-faults.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', armFile, '--input-type=module', '-e', program], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let steps = 0;
  child.stdout.on('data', bytes => {
    steps += bytes.length;
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, steps };
}

test('[H14] a real process dies at the pass that its environment names', async () => {
  expect(await runProgram({})).toEqual({ code: 0, signal: null, steps: 2_000 });
  expect(await runProgram({ STRATA_FAULTS: 'other=throw, step#7=crash' })).toEqual({
    code: null,
    signal: 'SIGKILL',
    steps: 7,
  });
});

test('[H14] a seed chooses the same moment every time, another seed another', async () => {
  const [first, again, other] = await Promise.all([
    runProgram({ STRATA_FAULT_SEED: '1' }),
    runProgram({ STRATA_FAULT_SEED: '1' }),
    runProgram({ STRATA_FAULT_SEED: '2' }),
  ]);
  expect(first).toEqual(again);
  expect(first.signal).toBe('SIGKILL');
  expect(other.steps).not.toBe(first.steps);
});

test('an environment that cannot be read is refused', () => {
  expect(() => armFaultsFrom({ STRATA_FAULTS: 'step#0=crash' })).toThrow('Not a fault');
  expect(() => armFaultsFrom({ STRATA_FAULTS: 'step=pause' })).toThrow('Not a fault');
  expect(armFaultsFrom({})).toBeUndefined();
});
