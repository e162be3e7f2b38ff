import { serveThread } from '@strata/shared/threads/serve-thread.ts';

const { validate } = await import('@serverlessworkflow/sdk');

/** Holds a document against the schema of the specification. Gives what the validator says, undefined when all is well. */
serveThread<unknown, string | undefined>(document => {
  try {
    validate('Workflow', document as Parameters<typeof validate>[1]); // it is the judge of that
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
});
