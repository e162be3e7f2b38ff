import type { Caller } from '../identity/caller.ts';
import type { Spender } from './budget-directory.ts';
import type { Subject } from './subject.ts';

const paths = new WeakMap<Caller, readonly Subject[]>();

/** The caller's place in the tree, its key, its tags and its run. Made once a caller. */
export function subjectsOf(caller: Caller): readonly Subject[] {
  const known = paths.get(caller);
  if (known !== undefined) return known;
  const { tenant, team, project, principal, keyId, tags, envelope } = caller;
  const path: Subject[] = [
    { kind: 'organisation', id: tenant },
    { kind: 'team', id: team },
    { kind: 'project', id: project },
    { kind: 'principal', id: principal },
    ...(keyId === undefined ? [] : [{ kind: 'key', id: keyId } as const]),
    ...tags.map(id => ({ kind: 'tag', id }) as const),
    ...(envelope?.runId === undefined ? [] : [{ kind: 'run', id: envelope.runId } as const]),
  ];
  paths.set(caller, path);
  return path;
}

/** Whose money a request of the caller spends; `about` is what the request is about: a model, a tool. */
export function spenderOf(caller: Caller, about: readonly Subject[]): Spender {
  return {
    tenant: caller.tenant,
    subjects: [...subjectsOf(caller), ...about],
    runBudgetId: caller.envelope?.grant?.id,
  };
}
