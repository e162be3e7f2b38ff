import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { matchesScope } from './scopes.ts';

/** What a condition may look at. */
export interface PolicyActivation {
  readonly principal: Readonly<Record<string, unknown>>;
  readonly request: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly envelope: Readonly<Record<string, unknown>>;
}

/** A condition in the Common Expression Language, checked and compiled once. */
export interface PolicyExpression {
  /** Whether its value can differ from one request to the next of the same caller for the same resource. */
  readonly usesRequest: boolean;
  /** @throws Error when a value is not there or not of the kind that the condition needs. */
  evaluate(activation: PolicyActivation): boolean;
}

export type CompiledExpression =
  | { readonly type: 'compiled'; readonly expression: PolicyExpression }
  | { readonly type: 'refused'; readonly problem: string };

/** Steps that one evaluation may take at most, whatever it is given. About 10 µs. */
const maxCost = 2000;
/** Lists that a condition is given are cut to this; what it writes itself may be no longer. */
export const maxListLength = 32;

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  homogeneousAggregateLiterals: false,
  limits: {
    maxAstNodes: 300,
    maxDepth: 24,
    maxListElements: maxListLength,
    maxMapEntries: 16,
    maxCallArguments: 8,
  },
})
  .registerVariable('principal', 'map')
  .registerVariable('request', 'map')
  .registerVariable('resource', 'map')
  .registerVariable('envelope', 'map')
  .registerFunction('glob(string, string): bool', (text: string, pattern: string) =>
    matchesScope([pattern], text),
  );

/** Compiles a condition, and refuses one that could cost too much: the bound is known before anything is evaluated. */
export function compileExpression(source: string): CompiledExpression {
  try {
    const parsed = environment.parse(source);
    const checked = parsed.check();
    if (!checked.valid) return refused(String(checked.error?.message));
    if (checked.type !== 'bool' && checked.type !== 'dyn') return refused('A condition is true or false.');
    const use: Use = { usesRequest: false, callsMatches: false };
    const cost = costOf(parsed.ast, use);
    if (use.callsMatches) return refused('`matches` is not available; use `glob(text, "a*b")`.');
    if (cost > maxCost) return refused(`It could take ${cost} steps; at most ${maxCost} are allowed.`);
    return {
      type: 'compiled',
      expression: {
        usesRequest: use.usesRequest,
        evaluate(activation) {
          const value: unknown = parsed({ ...activation });
          if (typeof value !== 'boolean') throw new Error('The condition is neither true nor false');
          return value;
        },
      },
    };
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

function refused(problem: string): CompiledExpression {
  return { type: 'refused', problem: problem.split('\n', 1)[0] ?? problem };
}

interface Use {
  usesRequest: boolean;
  callsMatches: boolean;
}

const comprehensions = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** Steps at most: one a node, and what a comprehension does once for every element of the longest list there can be. */
function costOf(node: ASTNode, use: Use): number {
  if (node.op === 'id' && node.args === 'request') use.usesRequest = true;
  const name = node.op === 'call' || node.op === 'rcall' ? node.args[0] : undefined;
  if (name === 'matches') use.callsMatches = true;
  const inner = childrenOf(node).reduce((sum, child) => sum + costOf(child, use), 0);
  return 1 + (name !== undefined && comprehensions.has(name) ? inner * maxListLength : inner);
}

function childrenOf({ args }: ASTNode): ASTNode[] {
  const all: unknown[] = Array.isArray(args) ? args.flat(2) : [args];
  return all.filter(isNode);
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}
