import { setFaultHook } from '../fault-point.ts';
import { seededRandom } from './seeded-random.ts';

/** What happens at the n-th pass (from 1) of a point. `crash` is SIGKILL: nothing runs after it, as in a power cut. */
export type Fault =
  | { readonly at: string; readonly pass?: number; readonly action: 'crash' }
  | { readonly at: string; readonly pass?: number; readonly action: 'throw'; readonly error?: Error }
  /** Holds an `asyncFaultPoint` back until `release`, or for ever. */
  | {
      readonly at: string;
      readonly pass?: number;
      readonly action: 'pause';
      readonly release?: Promise<unknown>;
    };

export interface ArmedFaults {
  /** How often each point was passed since arming. */
  readonly passes: ReadonlyMap<string, number>;
  /** Resolves at the n-th pass (from 1) of a point, before its fault acts. */
  reached(name: string, pass?: number): Promise<void>;
  disarm(): void;
}

/** The error that `throw` throws unless told otherwise. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
}

/** Names the fault of a pass, if any. Called for every pass of every point. */
export type ChooseFault = (name: string, pass: number) => Fault | undefined;

let isArmed = false;

/** Arms these faults in this process. One set at a time: a test disarms what it armed. */
export function armFaults(faults: readonly Fault[] | ChooseFault): ArmedFaults {
  if (isArmed) throw new Error('Faults are already armed: disarm them first');
  isArmed = true;
  const choose: ChooseFault =
    typeof faults === 'function'
      ? faults
      : (name, pass) => faults.find(fault => fault.at === name && (fault.pass ?? 1) === pass);
  const passes = new Map<string, number>();
  const waiting = new Set<{ readonly name: string; readonly pass: number; readonly resolve: () => void }>();

  setFaultHook(name => {
    const pass = (passes.get(name) ?? 0) + 1;
    passes.set(name, pass);
    for (const one of waiting) {
      if (one.name !== name || one.pass > pass) continue;
      waiting.delete(one);
      one.resolve();
    }
    const fault = choose(name, pass);
    return fault && act(fault);
  });

  return {
    passes,
    reached: (name, pass = 1) =>
      new Promise(resolve => {
        if ((passes.get(name) ?? 0) >= pass) resolve();
        else waiting.add({ name, pass, resolve });
      }),
    disarm: () => {
      isArmed = false;
      setFaultHook(undefined);
    },
  };
}

/**
 * Arms faults in a child process from its environment, so that a crash test can kill a real process at a chosen point:
 * `STRATA_FAULTS="settle.before-commit#3=crash,journal.append=throw"` names points and passes;
 * `STRATA_FAULT_SEED=7` (with `STRATA_FAULT_RATE`, default 0.01) crashes at a pass that the seed chooses, the same one in
 * every run that passes the same points in the same order. Load it with `node --import <this folder>/arm-faults.ts`.
 */
export function armFaultsFrom(
  environment: Readonly<Record<string, string | undefined>>,
): ArmedFaults | undefined {
  if (environment.STRATA_FAULTS) return armFaults(environment.STRATA_FAULTS.split(',').map(parseFault));
  if (!environment.STRATA_FAULT_SEED) return undefined;
  const rate = Number(environment.STRATA_FAULT_RATE ?? 0.01);
  const random = seededRandom(Number(environment.STRATA_FAULT_SEED));
  return armFaults(name => (random() < rate ? { at: name, action: 'crash' } : undefined));
}

function act(fault: Fault): Promise<void> | undefined {
  switch (fault.action) {
    case 'crash':
      return crash();
    case 'throw':
      throw fault.error ?? new InjectedFault(`Injected at ${fault.at}`);
    case 'pause':
      return (fault.release ?? new Promise(() => {})).then(() => {});
  }
}

function crash(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new InjectedFault('killed'); // not reached: the signal is delivered before kill returns
}

function parseFault(text: string): Fault {
  const match = /^([^#=]+)(?:#([1-9][0-9]*))?=(crash|throw)$/.exec(text.trim());
  if (!match)
    throw new Error(`Not a fault: ${JSON.stringify(text)} (expected point#pass=crash or point#pass=throw)`);
  const [, at = '', pass = '1', action] = match;
  return action === 'crash'
    ? { at, pass: Number(pass), action }
    : { at, pass: Number(pass), action: 'throw' };
}
