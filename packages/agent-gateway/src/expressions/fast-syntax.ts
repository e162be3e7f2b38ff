/** The part of jq that workflows mostly use. Each of these has exactly one result, or fails. */
export type FastExpression =
  | { readonly kind: 'data' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'member'; readonly of: FastExpression; readonly key: string | number }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: FastExpression;
      readonly right: FastExpression;
    }
  | { readonly kind: 'not'; readonly of: FastExpression }
  /** `"plain \\(expression) plain"`: texts stand as they are. */
  | { readonly kind: 'interpolation'; readonly parts: readonly (string | FastExpression)[] };

export type BinaryOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'and' | 'or' | '//';

const maxLength = 500;
const maxNesting = 40;

const field = /\.(?:([A-Za-z_][A-Za-z0-9_]*)|("[^"\\\p{Cc}]*"))/uy;
const index = /\[(?:(-?[0-9]{1,9})|("[^"\\\p{Cc}]*"))\]/uy;
const variable = /\$([a-z][A-Za-z0-9_]*)(?![A-Za-z0-9_:])/y;
/**
 * Up to 15 digits: as many as a double holds, so that decimal and binary comparison agree. No zero at the end of a fraction: jq would
 * keep it when it makes a text of the number.
 */
const number = /(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,5}[1-9])?(?![\w.])/y;
const text = /"[^"\\\p{Cc}]*"/uy;
const plain = /[^"\\\p{Cc}]*/uy;
const word = /(?:true|false|null)(?![A-Za-z0-9_:.[])/y;
const comparison = /==|!=|<=|>=|<|>/y;
const space = /[ \t\n]*/y;

/**
 * Reads an expression of the fast subset; undefined for everything else, which goes to jq. Whoever is in doubt says
 * undefined: that is slow, never wrong.
 */
export function parseFast(source: string): FastExpression | undefined {
  if (source.length > maxLength) return undefined;
  const reader = new Reader(source);
  const expression = reader.pipeline();
  return expression !== undefined && reader.isAtEnd ? expression : undefined;
}

class Reader {
  readonly #source: string;
  #at = 0;
  #nesting = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get isAtEnd(): boolean {
    this.#skip();
    return this.#at === this.#source.length;
  }

  /** `… | not`, which binds least. */
  pipeline(): FastExpression | undefined {
    let expression = this.#alternative();
    while (expression !== undefined && this.#takeSymbol('|')) {
      expression = this.#takeWord('not') ? { kind: 'not', of: expression } : undefined;
    }
    return expression;
  }

  /** `//` binds less than `or`, and to the right. */
  #alternative(): FastExpression | undefined {
    const left = this.#operation('or');
    if (left === undefined || !this.#takeSymbol('//')) return left;
    if (this.#source[this.#at] === '=') return undefined;
    const right = this.#nest(() => this.#alternative());
    return right && { kind: 'binary', operator: '//', left, right };
  }

  #operation(operator: 'or' | 'and'): FastExpression | undefined {
    const operand = () => (operator === 'or' ? this.#operation('and') : this.#compared());
    let left = operand();
    while (left !== undefined && this.#takeWord(operator)) {
      const right = operand();
      left = right && { kind: 'binary', operator, left, right };
    }
    return left;
  }

  /** Comparisons do not chain. */
  #compared(): FastExpression | undefined {
    const left = this.#term();
    if (left === undefined) return undefined;
    this.#skip();
    const [operator] = this.#match(comparison) ?? [];
    if (operator === undefined) return left;
    const right = this.#term();
    return right && { kind: 'binary', operator: operator as BinaryOperator, left, right }; // the pattern lists operators
  }

  #term(): FastExpression | undefined {
    this.#skip();
    const next = this.#source[this.#at];
    if (next === '(') return this.#group();
    if (next === '.') return this.#path();
    if (next === '$') return this.#variable();
    const literal = this.#match(text) ?? this.#match(number) ?? this.#match(word);
    if (literal !== undefined) return { kind: 'literal', value: JSON.parse(literal[0]) };
    return next === '"' ? this.#interpolation() : undefined;
  }

  #interpolation(): FastExpression | undefined {
    const parts: (string | FastExpression)[] = [];
    this.#at++;
    for (;;) {
      parts.push(this.#match(plain)?.[0] ?? '');
      if (this.#source[this.#at++] === '"') return { kind: 'interpolation', parts };
      if (this.#source[this.#at++] !== '(') return undefined; // another escape, or the end
      const inside = this.#nest(() => this.pipeline());
      if (inside === undefined || !this.#takeSymbol(')')) return undefined;
      parts.push(inside);
    }
  }

  #group(): FastExpression | undefined {
    this.#at++;
    const inside = this.#nest(() => this.pipeline());
    if (inside === undefined || !this.#takeSymbol(')')) return undefined;
    return this.#suffixes(inside);
  }

  #path(): FastExpression | undefined {
    if (this.#source.startsWith('..', this.#at)) return undefined;
    const data: FastExpression = { kind: 'data' };
    const key = keyOf(this.#match(field));
    if (key !== undefined) return this.#suffixes({ kind: 'member', of: data, key });
    this.#at++;
    return this.#suffixes(data);
  }

  #variable(): FastExpression | undefined {
    const name = this.#match(variable)?.[1];
    return name === undefined ? undefined : this.#suffixes({ kind: 'variable', name });
  }

  #suffixes(start: FastExpression): FastExpression | undefined {
    let expression = start;
    for (;;) {
      const next = this.#source[this.#at];
      if (next === '?') return undefined;
      if (next !== '.' && next !== '[') return expression;
      const key = keyOf(this.#match(field) ?? this.#match(index));
      if (key === undefined) return undefined;
      expression = { kind: 'member', of: expression, key };
    }
  }

  #nest(read: () => FastExpression | undefined): FastExpression | undefined {
    if (++this.#nesting > maxNesting) return undefined;
    const result = read();
    this.#nesting--;
    return result;
  }

  #skip(): void {
    this.#match(space);
  }

  #takeSymbol(symbol: string): boolean {
    this.#skip();
    if (!this.#source.startsWith(symbol, this.#at)) return false;
    // `|=`, `//=` and a longer operator are other operators.
    const after = this.#source[this.#at + symbol.length];
    if (symbol === '|' && (after === '=' || after === '|')) return false;
    this.#at += symbol.length;
    return true;
  }

  #takeWord(expected: string): boolean {
    this.#skip();
    if (!this.#source.startsWith(expected, this.#at)) return false;
    if (/[A-Za-z0-9_:]/.test(this.#source[this.#at + expected.length] ?? '')) return false;
    this.#at += expected.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source) ?? undefined;
    if (match !== undefined) this.#at = pattern.lastIndex;
    return match;
  }
}

function keyOf(match: RegExpExecArray | undefined): string | number | undefined {
  const [, plain, quoted] = match ?? [];
  if (quoted !== undefined) return quoted.slice(1, -1);
  if (plain === undefined) return undefined;
  return /^-?[0-9]/.test(plain) ? Number(plain) : plain;
}
