import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import type { Expressions } from '../domain/expressions.ts';
import { corruptJournal } from '../domain/journal-errors.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import type { Workflow } from '../domain/workflow.ts';
import { checkDocument } from './check-document.ts';
import { Compiler } from './compile.ts';
import type { Grammar } from './grammar.ts';
import { membersOf } from './members.ts';
import { Mistakes } from './mistakes.ts';
import { resolveReusable } from './reusable.ts';
import type { Source } from './source.ts';

export interface DefinitionsOptions {
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly grammar: Grammar;
  readonly schemas: DataSchemas;
  /** Of a document as canonical JSON, in UTF-16 units. */
  readonly maxLength: () => number;
  /** Finds what is wrong with `schedule.on`. */
  checkTrigger(strategy: unknown, pointer: string, mistakes: Mistakes): Promise<unknown>;
}

export interface Definition {
  readonly workflow: Workflow;
  /** The document as canonical JSON; its digest is the workflow's hash. */
  readonly document: string;
}

/** Reads definitions. */
export interface Definitions {
  /** @throws GatewayError invalid_request (`definition_invalid`) with all mistakes; too_large (`definition_too_large`). */
  read(source: Source): Promise<Definition>;
  /** One that this process has compiled not long ago: its hash says that it is the same. */
  known(hash: string): Workflow | undefined;
  /** A definition that was accepted before, from its canonical text. */
  load(hash: string, document: string): Workflow;
}

const maxKept = 500;
const defaultTransport = { http: { endpoint: 'https://mcp-gateway.local/mcp' } };

/** Check by check: the document, the tasks, the expressions, and last the grammar of the specification. */
export function createDefinitions(options: DefinitionsOptions): Definitions {
  const { types, expressions, grammar, schemas } = options;
  const kept = new Map<string, Workflow>();

  function keep(workflow: Workflow): Workflow {
    const [oldest] = kept.keys();
    if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
    kept.set(workflow.hash, workflow);
    return workflow;
  }

  async function checkSchedule(schedule: unknown, mistakes: Mistakes): Promise<void> {
    const { on } = membersOf(schedule);
    if (on !== undefined) await options.checkTrigger(on, '/schedule/on', mistakes);
  }

  return {
    async read(source) {
      const document = canonicalJson(source.value);
      requireLength(document, options.maxLength());
      const hash = digestOf(document);
      const known = kept.get(hash);
      if (known !== undefined) return { workflow: known, document };
      const mistakes = new Mistakes(pointer => source.lineOf(pointer));
      if (!checkDocument(source.value, mistakes)) mistakes.throwIfAny();
      const members = source.value as Readonly<Record<string, unknown>>; // what the check found
      const compiled = new Compiler(members, { types, mistakes }).compile(resolveReusable(members, mistakes));
      const note = (pointer: string) => (problem: string | undefined) => {
        if (problem !== undefined) mistakes.add(pointer, problem);
      };
      await Promise.all([
        ...compiled.expressions.map(({ source: text, pointer, variables }) =>
          expressions.check(text, variables).then(note(pointer)),
        ),
        ...compiled.schemas.map(({ schema, pointer }) => schemas.check(schema).then(note(pointer))),
        checkSchedule(members.schedule, mistakes),
      ]);
      await grammar.check(withTransports(members), mistakes);
      mistakes.throwIfAny();
      return { workflow: keep({ hash, ...compiled.workflow }), document };
    },
    known: hash => kept.get(hash),
    load(hash, document) {
      const known = kept.get(hash);
      if (known !== undefined) return known;
      if (digestOf(document) !== hash)
        throw corruptJournal(`The definition ${hash} is not what was written.`);
      const mistakes = new Mistakes(() => undefined);
      const members = JSON.parse(document) as Readonly<Record<string, unknown>>; // it was checked when it was accepted
      const { workflow } = new Compiler(members, { types, mistakes }).compile(
        resolveReusable(members, mistakes),
      );
      mistakes.throwIfAny();
      return keep({ hash, ...workflow });
    },
  };
}

function requireLength({ length }: string, most: number): void {
  if (length <= most) return;
  throw new GatewayError(
    'too_large',
    `The definition has ${length} characters as JSON; it may have ${most}.`,
    {
      reason: 'definition_too_large',
    },
  );
}

/** The grammar wants a transport on every MCP call; here there is only one, so it may be left out. */
function withTransports(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withTransports);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withTransports(each)]));
  const { call, with: arguments_ } = members;
  if (call !== 'mcp' || typeof arguments_ !== 'object' || arguments_ === null) return members;
  return { ...members, with: { transport: defaultTransport, ...arguments_ } };
}
