import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import * as z from 'zod';
import { maxPriority } from '../domain/queue.ts';
import type { Mistakes } from './mistakes.ts';
import { escapePointer } from './template.ts';

const count = z.int().min(1);

/** `metadata.gateway` of a task. */
const taskMetadata = z.strictObject({
  onInDoubt: z.enum(['retry', 'park', 'fail']).optional(),
  compensate: z.record(z.string(), z.unknown()).optional(),
  /** Of a `for`. */
  concurrency: z.int().min(1).max(1000).optional(),
});

/** `document.metadata.gateway`. */
const documentMetadata = z.strictObject({
  limits: z
    .strictObject({
      steps: count.optional(),
      visits: count.optional(),
      fanOut: count.optional(),
      liveTasks: count.optional(),
      repeats: count.optional(),
      wallClock: z.unknown().optional(),
      costUsd: z
        .string()
        .refine(text => parseUsd(text) !== undefined, "Expected an amount in quotes, such as '2.50'")
        .optional(),
    })
    .optional(),
  concurrency: z
    .strictObject({
      /** Runs of the same key share a queue. An expression sees the input; without one it is the name of the workflow. */
      key: z.string().min(1).optional(),
      limit: count.max(10_000),
    })
    .optional(),
  /** How long its runs stay after their end. */
  retention: z.unknown().optional(),
  priority: z.int().min(0).max(maxPriority).optional(),
});

export type TaskMetadata = z.output<typeof taskMetadata>;
export type DocumentMetadata = z.output<typeof documentMetadata>;

type Members = Readonly<Record<string, unknown>>;

/** Reads `metadata.gateway` of a task or of the document; every mistake is noted. */
export function readTaskMetadata(task: Members, path: string, mistakes: Mistakes): TaskMetadata {
  return read(
    taskMetadata,
    { holder: task, path, elsewhere: documentMetadata, whose: 'the document' },
    mistakes,
  );
}

export function readDocumentMetadata(head: Members, mistakes: Mistakes): DocumentMetadata {
  const of = { holder: head, path: '/document', elsewhere: taskMetadata, whose: 'a task' };
  return read(documentMetadata, of, mistakes);
}

interface Place {
  readonly holder: Members;
  readonly path: string;
  readonly elsewhere: z.ZodObject;
  readonly whose: string;
}

function read<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  { holder, path, elsewhere, whose }: Place,
  mistakes: Mistakes,
): Partial<z.output<z.ZodObject<Shape, z.core.$strict>>> {
  const { metadata } = holder;
  const gateway =
    typeof metadata === 'object' && metadata !== null ? (metadata as Members).gateway : undefined;
  if (gateway === undefined) return {};
  const parsed = schema.safeParse(gateway);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const parts = issue.path.map(part => escapePointer(String(part)));
    const at = [`${path}/metadata/gateway`, ...parts].join('/');
    if (issue.code !== 'unrecognized_keys') mistakes.add(at, `${issue.message}.`);
    else
      for (const key of issue.keys) {
        const isElsewhere = issue.path.length === 0 && Object.hasOwn(elsewhere.shape, key);
        mistakes.add(
          `${at}/${key}`,
          isElsewhere ? `'${key}' belongs to ${whose}.` : `'${key}' is not supported.`,
        );
      }
  }
  return {};
}
