import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { ThreadPool } from '@strata/shared/threads/thread-pool.ts';
import { type ExpressionScope, type Expressions, variableNames } from '../domain/expressions.ts';
import { evaluateFast, FastPathError, UncertainError } from './fast-path.ts';
import { type FastExpression, parseFast } from './fast-syntax.ts';
import type { JqAnswer, JqJob } from './jq-job.ts';

export interface JqOptions {
  readonly clock: Clock;
  readonly threads: number;
  /** CPU time of one evaluation; more is allowed for large input. */
  readonly timeoutMs: number;
  readonly maxMemoryBytes: number;
  readonly maxOutputBytes: number;
  readonly maxQueue: number;
}

interface Prepared {
  readonly fast: FastExpression | undefined;
  readonly variables: readonly string[];
  readonly program: string;
}

const maxPrepared = 5000;
const maxSourceLength = 8192;
const timeForInputMsPerMiB = 60;
/** A thread holds 20 MB, and most expressions need none. */
const idleMs = 60_000;

/** jq: the common cases in the process, everything else by jq itself in a thread with limits. */
export function createJqExpressions(options: JqOptions): Expressions {
  const pool = new ThreadPool({
    file: new URL('./jq-thread.ts', import.meta.url),
    clock: options.clock,
    size: options.threads,
    maxQueue: options.maxQueue,
    maxHeapMiB: 128,
    idleMs,
    data: { maxMemoryBytes: options.maxMemoryBytes },
  });
  const prepared = new Map<string, Prepared>();

  function prepare(source: string): Prepared {
    const known = prepared.get(source);
    if (known !== undefined) return known;
    const made = prepareSource(source);
    const [oldest] = prepared.keys();
    if (prepared.size >= maxPrepared && oldest !== undefined) prepared.delete(oldest);
    prepared.set(source, made);
    return made;
  }

  async function run(program: string, input: string): Promise<JqAnswer> {
    const job: JqJob = { program, input, maxOutputBytes: options.maxOutputBytes };
    const cpuLimitMs = options.timeoutMs + Math.ceil((input.length / 1024 ** 2) * timeForInputMsPerMiB);
    try {
      return (await pool.run(job, { cpuLimitMs })) as JqAnswer; // what `jq-thread.ts` answers
    } catch (error) {
      throw explain(error, options.timeoutMs);
    }
  }

  return {
    async check(source, locals = []) {
      if (source.length > maxSourceLength)
        return `The expression is longer than ${maxSourceLength} characters.`;
      const { fast, variables } = prepare(source);
      const known = [...variableNames, ...locals];
      if (fast !== undefined && variables.every(name => known.includes(name))) return undefined;
      const answer = await run(`${bindings(known)}empty | ${source}`, '{"d":null,"v":{}}');
      return answer.type === 'invalid' ? `Not valid jq: ${answer.message}` : undefined;
    },
    async evaluate(source, scope) {
      const { fast, program, variables } = prepare(source);
      const answered = fast && evaluateInProcess(fast, scope);
      if (answered !== undefined) return answered.value;
      const used = Object.fromEntries(variables.map(name => [name, scope.variables[name] ?? null]));
      const answer = await run(program, JSON.stringify({ d: scope.data ?? null, v: used }));
      return readAnswer(answer);
    },
    close: () => pool.close(),
  };
}

/** Data and variables arrive as one value; the expression itself stands last, so that it cannot close a bracket of ours. */
function prepareSource(source: string): Prepared {
  const named = source.matchAll(/\$([A-Za-z_][A-Za-z0-9_]*)/g);
  const variables = [...new Set([...named].map(([, name = '']) => name))].filter(name => !ofJq.has(name));
  return { fast: parseFast(source), variables, program: `${bindings(variables)}.d | ${source}` };
}

/** Names that mean something to jq itself. */
const ofJq = new Set(['ENV', '__loc__']);

const bindings = (names: readonly string[]) => names.map(name => `.v.${name} as $${name} | `).join('');

/** Undefined when only jq can say. */
function evaluateInProcess(
  expression: FastExpression,
  scope: ExpressionScope,
): { readonly value: unknown } | undefined {
  try {
    return { value: evaluateFast(expression, scope) };
  } catch (error) {
    if (error instanceof UncertainError) return undefined;
    if (!(error instanceof FastPathError)) throw error;
    throw failed(error.message);
  }
}

function readAnswer(answer: JqAnswer): unknown {
  switch (answer.type) {
    case 'output': {
      const values = answer.output
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as unknown);
      return values.length > 1 ? values : (values[0] ?? null);
    }
    case 'too-large':
    case 'crashed':
      throw new GatewayError('too_large', 'The expression needs more memory, or gives more, than it may.', {
        reason: 'expression_too_large',
      });
    case 'invalid':
    case 'failed':
      throw failed(answer.message);
  }
}

function failed(message: string): GatewayError {
  return new GatewayError('invalid_request', `The expression failed: ${message}`, {
    reason: 'expression_failed',
  });
}

function explain(error: unknown, timeoutMs: number): unknown {
  if (!(error instanceof GatewayError)) return error;
  switch (error.reason) {
    case 'thread_timeout':
      return new GatewayError('timeout', `The expression took longer than ${timeoutMs} ms.`, {
        reason: 'expression_timeout',
        cause: error,
      });
    case 'thread_died':
      return readCrash(error);
    default:
      return new GatewayError('overloaded', 'Too many expressions wait to be evaluated.', {
        reason: 'expression_busy',
        cause: error,
      });
  }
}

function readCrash(cause: GatewayError): GatewayError {
  return new GatewayError('too_large', 'The expression needs more memory than it may.', {
    reason: 'expression_too_large',
    cause,
  });
}
