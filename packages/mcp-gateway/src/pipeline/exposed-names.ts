import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { splice } from '@strata/shared/json/splice.ts';
import type { NotificationFrame, RequestFrame } from '../domain/frame.ts';
import type { TaskIds } from '../domain/task-ids.ts';
import { parseFrame } from '../wire/frame.ts';
import { type ExposedNames, messageEdits } from '../wire/references.ts';
import type { SessionCatalog } from './session-catalog.ts';

/** Whoever is behind a call: tasks are theirs in every session of theirs. */
export function ownerOf(caller: { readonly tenant: string; readonly principal: string }): string {
  return `${caller.tenant}\0${caller.principal}`;
}

export function namesFor(options: NamesOptions): ExposedNames {
  return new NamesOfServer(options);
}

interface NamesOptions {
  readonly catalog: SessionCatalog;
  readonly taskIds: TaskIds;
  readonly owner: string;
  readonly server: string;
}

class NamesOfServer implements ExposedNames {
  readonly #options: NamesOptions;

  constructor(options: NamesOptions) {
    this.#options = options;
  }

  uri(uri: string): string {
    const { catalog, server } = this.#options;
    return catalog.routes.expose(server, uri);
  }

  taskId(taskId: string): string {
    const { taskIds, owner, server } = this.#options;
    return taskIds.expose(owner, server, taskId);
  }
}

/** A server's message with the names its client knows. `undefined` when it cannot be told what it names: nobody gets it then. */
export function withNames<F extends RequestFrame | NotificationFrame>(
  frame: F,
  names: ExposedNames,
): F | undefined {
  try {
    const edits = messageEdits(frame, names);
    if (edits.length === 0) return frame;
    const parsed = parseFrame(splice(frame.bytes, edits));
    return parsed.kind === frame.kind ? (parsed as F) : undefined; // the same kind is the same type
  } catch (error) {
    if (error instanceof JsonScanError) return undefined;
    throw error;
  }
}
