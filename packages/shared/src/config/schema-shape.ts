import * as z from 'zod';

/** The part of JSON Schema that zod produces and the loader and the reference page read. */
export interface SchemaShape {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly secret?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, SchemaShape>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaShape | boolean;
  readonly items?: SchemaShape;
  readonly anyOf?: readonly SchemaShape[];
  readonly oneOf?: readonly SchemaShape[];
}

/** What may be written for a schema: the input side, before defaults and transforms. */
export function shapeOf(schema: z.ZodType): SchemaShape {
  return z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    cycles: 'ref',
  }) as SchemaShape;
}

export type PathSegment = string | number;

/** All shapes a value at `path` may have; unions are opened. Empty when the path leads nowhere. */
export function shapesAt(shape: SchemaShape, path: readonly PathSegment[]): SchemaShape[] {
  const options = alternatives(shape);
  const [segment, ...rest] = path;
  if (segment === undefined) return options;
  return options.flatMap(option => {
    const child = childShape(option, segment);
    return child === undefined ? [] : shapesAt(child, rest);
  });
}

/** Keys that may be written at `path`. */
export function keysAt(shape: SchemaShape, path: readonly PathSegment[]): string[] {
  return [...new Set(shapesAt(shape, path).flatMap(option => Object.keys(option.properties ?? {})))];
}

export function alternatives(shape: SchemaShape): SchemaShape[] {
  const union = shape.anyOf ?? shape.oneOf;
  return union === undefined ? [shape] : union.flatMap(alternatives);
}

function childShape(shape: SchemaShape, segment: PathSegment): SchemaShape | undefined {
  if (acceptsAnything(shape)) return shape;
  const property = shape.properties?.[String(segment)];
  if (property !== undefined) return property;
  if (shape.items !== undefined && /^\d+$/.test(String(segment))) return shape.items;
  if (typeof shape.additionalProperties === 'object') return shape.additionalProperties;
  return undefined;
}

/** The section of another gateway: this process does not know its keys and leaves them to their owner. */
function acceptsAnything(shape: SchemaShape): boolean {
  return shape.type === undefined && shape.const === undefined && shape.enum === undefined;
}
