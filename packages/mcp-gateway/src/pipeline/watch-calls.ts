import type { ResponseFrame } from '../domain/frame.ts';
import type { CallContext, CallStage } from './call-context.ts';

/** How a call ended: with the answer of its server, or with what was thrown. */
export interface CallEnd {
  readonly answer: ResponseFrame | undefined;
  readonly failure: unknown;
}

/**
 * Is told that a call begins, and gives what is to be told its end; the answer it leaves as it is. It may refuse by throwing: those before it
 * are told that the call has failed. The end never throws.
 */
export type CallWatcher = (context: CallContext) => (end: CallEnd) => void;

/** All that only look on, in one stage: each stage of its own would have the answer wait for one turn more. */
export function watchCalls(watchers: readonly CallWatcher[]): CallStage {
  return (context, next) => {
    const told: ((end: CallEnd) => void)[] = [];
    const tell = (end: CallEnd) => {
      for (const each of told) each(end);
    };
    try {
      for (const watcher of watchers) told.push(watcher(context));
    } catch (failure) {
      tell({ answer: undefined, failure });
      throw failure;
    }
    return next().then(
      answer => {
        tell({ answer, failure: undefined });
        return answer;
      },
      (failure: unknown) => {
        tell({ answer: undefined, failure });
        throw failure;
      },
    );
  };
}
