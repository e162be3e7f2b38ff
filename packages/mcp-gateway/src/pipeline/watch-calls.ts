import type { ResponseFrame } from '../domain/frame.ts';
import type { CallContext, CallStage } from './call-context.ts';

/** How a call ended: with the answer of its server, or with what was thrown. */
export interface CallEnd {
  readonly answer: ResponseFrame | undefined;
  readonly failure: unknown;
}

/** Looks on while a call runs, and changes nothing: is told that it begins, and gives what is to be told its end. Neither throws. */
export type CallWatcher = (context: CallContext) => (end: CallEnd) => void;

/** All that only look on, in one stage: each stage of its own would have the answer wait for one turn more. */
export function watchCalls(watchers: readonly CallWatcher[]): CallStage {
  return (context, next) => {
    const told = watchers.map(watcher => watcher(context));
    const tell = (end: CallEnd) => {
      for (const each of told) each(end);
    };
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
