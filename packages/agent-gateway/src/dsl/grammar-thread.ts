import { serveThread } from '@strata/shared/threads/serve-thread.ts';
import { cutOut } from './cut-out.ts';
import type { Complaint, GrammarJob } from './grammar-job.ts';

const { validate } = await import('@serverlessworkflow/sdk');

const maxRounds = 25;
/** The one version that this SDK takes. It has all that the ones before it had. */
const versionOfGrammar = '1.0.3';

/**
 * Holds a document against the schema of the specification. The validator stops at the first mistake, and complains of it once for every
 * kind of task that a task is not; so what is known to be wrong is cut out first, and what it complains of, until it is content.
 */
serveThread<GrammarJob, Complaint[]>(({ document, known }) => {
  if (typeof document !== 'object' || document === null) return [];
  const rest = document as Record<string, unknown>; // a copy of its own, made for this thread
  if (typeof rest.document === 'object' && rest.document !== null && 'dsl' in rest.document)
    rest.document.dsl = versionOfGrammar; // `checkDocument` has looked at it
  const done = new Set<string>();
  for (const pointer of known) cutOut(rest, pointer, done);
  const found: Complaint[] = [];
  for (let round = 0; round < maxRounds; round++) {
    const complaints = complaintsOf(rest);
    const [first] = complaints;
    if (first === undefined || !cutOut(rest, first.pointer, done)) return [...found, ...complaints];
    found.push(...complaints);
  }
  return found;
});

/** Of one mistake what lies deepest, which is nearest to it. */
function complaintsOf(document: unknown): Complaint[] {
  const message = messageOf(document);
  if (message === undefined) return [];
  const all = [...message.matchAll(/^- (\S*) \| (\S+) \| ([^|]+) \|/gm)].map(
    ([, pointer = '', , text = '']) => ({ pointer, message: text.trim() }),
  );
  const depth = ({ pointer }: Complaint) => pointer.split('/').length;
  const deepest = Math.max(0, ...all.map(depth));
  const nearest = all.filter(each => depth(each) === deepest);
  const telling = nearest.filter(each => !/schema in (one|any)Of/.test(each.message));
  const told = (telling.length > 0 ? telling : nearest).slice(0, 5);
  return told.length > 0 ? told : [{ pointer: '', message: 'does not follow the grammar' }];
}

function messageOf(document: unknown): string | undefined {
  try {
    validate('Workflow', document as Parameters<typeof validate>[1]); // it is the judge of that
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
