import * as z from 'zod';
import { isObject } from '../domain/capabilities.ts';
import type { ListKind } from '../domain/catalog.ts';

/**
 * The form of listed items as the official clients of both eras read it. They refuse a whole list for one item that is otherwise, and
 * a joined list holds items of many servers: none may take those of the others with it (M24).
 */
const text = z.string();
const object = z.record(z.string(), z.unknown());
const texts = z.array(text);

/** An object's schema (2025-11-25, "Tool"). */
const objectSchema = z.looseObject({
  type: z.literal('object'),
  properties: z.record(z.string(), z.looseObject({})).optional(),
  required: texts.optional(),
});

const icons = z.array(
  z.object({
    src: text,
    mimeType: text.optional(),
    sizes: texts.optional(),
    theme: z.enum(['light', 'dark']).optional(),
  }),
);

const shared = { title: text, description: text, icons, _meta: object };
const annotated = {
  ...shared,
  mimeType: text,
  annotations: z.object({
    audience: z.array(z.enum(['user', 'assistant'])).optional(),
    priority: z.number().min(0).max(1).optional(),
    lastModified: z.iso.datetime({ offset: true }).optional(),
  }),
};
const hint = z.boolean().optional();

interface Form {
  readonly required: Readonly<Record<string, z.ZodType>>;
  readonly optional: Readonly<Record<string, z.ZodType>>;
}

const forms: Readonly<Record<ListKind, Form>> = {
  tools: {
    required: { name: text, inputSchema: objectSchema },
    optional: {
      ...shared,
      outputSchema: z.looseObject({ $schema: text.optional() }),
      annotations: z.object({
        title: text.optional(),
        readOnlyHint: hint,
        destructiveHint: hint,
        idempotentHint: hint,
        openWorldHint: hint,
      }),
      execution: z.object({ taskSupport: z.enum(['required', 'optional', 'forbidden']).optional() }),
    },
  },
  prompts: {
    required: { name: text },
    optional: {
      ...shared,
      arguments: z.array(
        z.object({ name: text, description: text.optional(), required: z.boolean().optional() }),
      ),
    },
  },
  resources: { required: { uri: text, name: text }, optional: { ...annotated, size: z.number() } },
  templates: { required: { uriTemplate: text, name: text }, optional: annotated },
};

export interface ItemForm {
  /** Whether it has what an item needs. */
  readonly isWhole: boolean;
  /** Members that an item may have, but not like this. */
  readonly unfit: ReadonlySet<string>;
  /** Members that clients with sessions cannot read: schemas of results that are no objects (2026-07-28, "Tools"). */
  readonly isModernOutput: boolean;
}

/** Looks an item over; `item` is its JSON. */
export function formOf(kind: ListKind, item: string): ItemForm {
  const value: unknown = JSON.parse(item);
  if (!isObject(value)) return { isWhole: false, unfit: new Set(), isModernOutput: false };
  const { required, optional } = forms[kind];
  const isFit = (key: string, schema: z.ZodType) =>
    schema.safeParse(value[key]).success && hasFiniteNumbers(value[key]);
  const unfit = Object.entries(optional)
    .filter(([key, schema]) => Object.hasOwn(value, key) && !isFit(key, schema))
    .map(([key]) => key);
  const isWhole = Object.entries(required).every(([key, schema]) => isFit(key, schema));
  const isModernOutput =
    kind === 'tools' && Object.hasOwn(value, 'outputSchema') && !isFit('outputSchema', objectSchema);
  return { isWhole, unfit: new Set(unfit), isModernOutput };
}

/** A number beyond those of a double (`1e400`) is infinite to who reads it, and no JSON any more to the clients of 2026-07-28. */
function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(hasFiniteNumbers);
}
