import { parseDuration } from '../domain/duration.ts';
import type { Duration, NodeSchemas, Template } from '../domain/workflow.ts';
import { type Members, membersOf } from './members.ts';
import type { Mistakes } from './mistakes.ts';
import { compileTemplate, escapePointer, expressionIn, type FoundExpression } from './template.ts';

export interface FoundSchema {
  readonly schema: unknown;
  readonly pointer: string;
}

interface Place {
  readonly pointer: string;
  /** Names in scope beside the standard ones. */
  readonly variables: readonly string[];
}

/** What an expression may not name, and why. */
const closedVariables: Readonly<Record<string, string>> = {
  secrets: 'A secret is a whole value of `authentication`, `${ $secrets.name }`, and nothing else.',
  authorization:
    'What a call was authorized with is not shown to expressions: what they give is recorded, and a credential must not be.',
};

/** Reads the parts that every task and the document have: expressions, durations, schemas. Remembers what is to be checked. */
export class PartReader {
  /** Every expression with its place, for the check by the language itself. */
  readonly expressions: FoundExpression[] = [];
  /** Every JSON Schema with its place. */
  readonly schemas: FoundSchema[] = [];
  readonly #mistakes: Mistakes;

  constructor(mistakes: Mistakes) {
    this.#mistakes = mistakes;
  }

  template(value: unknown, { pointer, variables }: Place): Template {
    const found: Omit<FoundExpression, 'variables'>[] = [];
    const template = compileTemplate(value, pointer, found);
    for (const { source, pointer: at } of found) this.#found(source, { pointer: at, variables });
    return template;
  }

  expression(value: unknown, place: Place): Template {
    if (typeof value !== 'string') {
      this.#mistakes.add(place.pointer, 'Expected an expression.');
      return { kind: 'literal', value: null };
    }
    const source = expressionIn(value) ?? value.trim();
    this.#found(source, place);
    return { kind: 'expression', source };
  }

  duration(value: unknown, place: Place): Duration {
    if (typeof value === 'string' && expressionIn(value) !== undefined) return this.expression(value, place);
    return this.fixedDuration(value, place.pointer);
  }

  /** One that has to be known before there is a run. */
  fixedDuration(value: unknown, pointer: string): number {
    const parsed = parseDuration(value);
    if ('ms' in parsed) return parsed.ms;
    this.#mistakes.add(pointer, parsed.problem);
    return 0;
  }

  timeout(holder: Members, path: string, variables: readonly string[]): Duration | undefined {
    const { timeout } = holder;
    if (timeout === undefined) return undefined;
    const pointer = `${path}/timeout`;
    const { after, ...others } = membersOf(timeout);
    for (const key of Object.keys(others))
      this.#mistakes.add(`${pointer}/${escapePointer(key)}`, `A timeout has no key '${key}'.`);
    return this.duration(after, { pointer: `${pointer}/after`, variables });
  }

  dataFlow(
    holder: Members,
    path: string,
    variables: readonly string[],
  ): Record<'inputFrom' | 'outputAs' | 'exportAs', Template | undefined> {
    return {
      inputFrom: this.#transformation(holder.input, 'from', { pointer: `${path}/input`, variables }),
      outputAs: this.#transformation(holder.output, 'as', { pointer: `${path}/output`, variables }),
      exportAs: this.#transformation(holder.export, 'as', { pointer: `${path}/export`, variables }),
    };
  }

  dataSchemas(holder: Members, path: string): NodeSchemas {
    const found: { input?: unknown; output?: unknown; export?: unknown } = {};
    for (const key of ['input', 'output', 'export'] as const) {
      const { schema } = membersOf(holder[key]);
      if (schema === undefined) continue;
      const document = this.#schemaDocument(schema, `${path}/${key}/schema`);
      if (document !== undefined) found[key] = document;
    }
    return found;
  }

  #schemaDocument(schema: unknown, pointer: string): unknown {
    const { format = 'json', document, resource } = membersOf(schema);
    if (resource !== undefined)
      this.#mistakes.add(`${pointer}/resource`, 'Schemas are not fetched; write `document`.');
    else if (typeof format !== 'string' || !/^json(:|$)/.test(format))
      this.#mistakes.add(`${pointer}/format`, 'The only format is `json`.');
    else if (document === undefined) this.#mistakes.add(pointer, 'Expected a JSON Schema in `document`.');
    else this.schemas.push({ schema: document, pointer: `${pointer}/document` });
    return document;
  }

  #transformation(value: unknown, key: 'from' | 'as', { pointer, variables }: Place): Template | undefined {
    if (value === undefined) return undefined;
    const members = membersOf(value);
    for (const each of Object.keys(members)) {
      if (each !== key && each !== 'schema')
        this.#mistakes.add(`${pointer}/${escapePointer(each)}`, `'${each}' is not known here.`);
    }
    const given = members[key];
    if (given === undefined) return undefined;
    const at = { pointer: `${pointer}/${key}`, variables };
    return typeof given === 'string' ? this.expression(given, at) : this.template(given, at);
  }

  /** What an expression gives is recorded and may be shown; a secret must not be. */
  #found(source: string, { pointer, variables }: Place): void {
    for (const [name, why] of Object.entries(closedVariables)) {
      if (new RegExp(`\\$${name}\\b`).test(source)) this.#mistakes.add(pointer, why);
    }
    this.expressions.push({ source, pointer, variables });
  }
}
