/**
 * What can go wrong with an answer, as written in the header `x-sim-fault`, in a prompt's `[[fault: …]]` or in a rule given to
 * the simulator: `name` or `name=value`, several joined by `;`. The README lists them.
 */
export interface Fault {
  /** How the answer ends, if not well. */
  readonly ending: Ending | undefined;
  /** Leaves the usage out of the answer. */
  readonly hidesUsage: boolean;
  /** How often the fault happens to requests that bear the same text; `undefined`: each time. */
  readonly times: number | undefined;
  readonly text: string;
}

export type Ending =
  | { readonly type: 'status'; readonly status: number; readonly retryAfter: string | undefined }
  /** Instead of a head. */
  | { readonly type: 'before-headers'; readonly how: 'rst' | 'fin' | 'hang' }
  /** A 200 that no API would send: a login page, or nothing. */
  | { readonly type: 'body'; readonly how: 'html' | 'empty' }
  /** After this many events of a stream; a whole answer breaks in the middle of its body. */
  | { readonly type: 'after-events'; readonly events: number; readonly how: StreamEnding };

/** RST; FIN without the end of the body; a proper end of the body too early; silence; an error event; broken JSON. */
export type StreamEnding = 'cut' | 'fin' | 'end' | 'stall' | 'error-event' | 'malformed';

const afterEvents = /^(cut|fin|end|stall|malformed)-after-events$|^(error-event)-after$/;

/** @throws RangeError for a fault it does not know. */
export function parseFault(text: string): Fault {
  let ending: Ending | undefined;
  let hidesUsage = false;
  let times: number | undefined;
  let retryAfter: string | undefined;
  for (const part of text.split(';').map(piece => piece.trim())) {
    const at = part.indexOf('=');
    const name = at === -1 ? part : part.slice(0, at).trim();
    const value = at === -1 ? '' : part.slice(at + 1).trim();
    if (name === 'retry-after') retryAfter = value;
    else if (name === 'times') times = toNumber(name, value);
    else if (name === 'no-usage') hidesUsage = true;
    else if (name !== 'id' && name !== '') ending = parseEnding(name, value);
  }
  if (ending?.type === 'status') ending = { ...ending, retryAfter };
  return { ending, hidesUsage, times, text };
}

function parseEnding(name: string, value: string): Ending {
  if (name === 'status') return { type: 'status', status: toNumber(name, value), retryAfter: undefined };
  if (name === 'rst-before-headers') return { type: 'before-headers', how: 'rst' };
  if (name === 'fin-before-headers') return { type: 'before-headers', how: 'fin' };
  if (name === 'hang') return { type: 'before-headers', how: 'hang' };
  if (name === 'html') return { type: 'body', how: 'html' };
  if (name === 'empty-body') return { type: 'body', how: 'empty' };
  const match = afterEvents.exec(name);
  const how = match?.[1] ?? match?.[2];
  if (how === undefined) throw new RangeError(`Unknown fault '${name}'.`);
  return { type: 'after-events', how: how as StreamEnding, events: toNumber(name, value) }; // The pattern lists them.
}

function toNumber(name: string, value: string): number {
  const number = Number(value);
  if (value === '' || !Number.isInteger(number) || number < 0)
    throw new RangeError(`The fault '${name}' needs a whole number, as in '${name}=3'.`);
  return number;
}

/** Which requests a rule means. Everything given has to hold. */
export interface FaultMatch {
  readonly protocol?: string | undefined;
  readonly model?: string | undefined;
  readonly pathIncludes?: string | undefined;
  readonly bodyIncludes?: string | undefined;
}

export interface FaultFacts {
  readonly protocol: string;
  readonly model: string | undefined;
  readonly path: string;
  readonly body: () => string;
}

interface Rule {
  readonly id: number;
  readonly match: FaultMatch;
  readonly fault: Fault;
  left: number;
}

/** The rules given at run time, and how often counted faults have happened. */
export interface FaultBook {
  add(match: FaultMatch, fault: string, times?: number): number;
  /** The fault of the first rule that matches. It counts as happened. */
  matching(facts: FaultFacts): Fault | undefined;
  /** The fault that a request asks for itself, unless it has happened as often as it says. */
  asked(text: string): Fault | undefined;
  list(): readonly {
    readonly id: number;
    readonly match: FaultMatch;
    readonly fault: string;
    readonly left: number;
  }[];
  clear(): void;
}

const maxCounted = 10_000;

export function createFaultBook(): FaultBook {
  let rules: Rule[] = [];
  let lastId = 0;
  const happened = new Map<string, number>();
  return {
    add: (match, text, times) => {
      const fault = parseFault(text);
      rules.push({ id: ++lastId, match, fault, left: times ?? fault.times ?? Number.POSITIVE_INFINITY });
      return lastId;
    },
    matching: facts => {
      const rule = rules.length === 0 ? undefined : rules.find(({ match }) => matches(match, facts));
      if (!rule) return undefined;
      rule.left--;
      if (rule.left <= 0) rules = rules.filter(other => other !== rule);
      return rule.fault;
    },
    asked: text => {
      const fault = parseFault(text);
      if (fault.times === undefined) return fault;
      const count = (happened.get(text) ?? 0) + 1;
      if (happened.size < maxCounted || happened.has(text)) happened.set(text, count);
      return count <= fault.times ? fault : undefined;
    },
    list: () => rules.map(({ id, match, fault, left }) => ({ id, match, fault: fault.text, left })),
    clear: () => {
      rules = [];
      happened.clear();
    },
  };
}

function matches(match: FaultMatch, facts: FaultFacts): boolean {
  if (match.protocol !== undefined && match.protocol !== facts.protocol) return false;
  if (match.model !== undefined && match.model !== facts.model) return false;
  if (match.pathIncludes !== undefined && !facts.path.includes(match.pathIncludes)) return false;
  return match.bodyIncludes === undefined || facts.body().includes(match.bodyIncludes);
}
