import type { Attempt, Brought, Entered, Gate } from '../domain/call.ts';

/**
 * An attempt that goes through gates, in their order, and then to its target. Those that it has passed are told what became of it, the
 * last one first. While every gate can answer at once nothing is waited for on the way: there is one promise around all of them.
 */
export function passGates<Result extends Brought>(
  gates: readonly Gate[],
  perform: (attempt: Attempt) => Promise<Result>,
): (attempt: Attempt) => Promise<Result> {
  return async attempt => {
    const passed: Entered[] = [];
    let answer: Result;
    try {
      for (const gate of gates) {
        const entering = gate(attempt);
        const entered = entering instanceof Promise ? await entering : entering;
        if (entered !== undefined) passed.push(entered);
      }
      answer = await perform(attempt);
    } catch (error) {
      while (passed.length > 0) passed.pop()?.failed(error);
      throw error;
    }
    while (passed.length > 0) passed.pop()?.answered(answer);
    return answer;
  };
}
