type Members = Readonly<Record<string, unknown>>;

/**
 * The flow of a document as a Mermaid flowchart. Read from the document and not from the compiled form, so that it shows what its author
 * wrote. Names are labels only, never identifiers, so no name can break out of the picture.
 */
export function renderMermaid(document: Members): string {
  const chart = new Chart();
  chart.line('start((start))');
  chart.line('finish(((end)))');
  const ends = chart.list(document.do);
  if (ends.first === undefined) chart.edge('start', 'finish');
  else chart.edge('start', ends.first);
  for (const last of ends.last) chart.edge(last, 'finish');
  return `flowchart TD\n${chart.lines.join('\n')}\n`;
}

interface Ends {
  readonly first: string | undefined;
  /** Nodes after which the list is at its end. */
  readonly last: readonly string[];
}

interface Branch {
  readonly label: string | undefined;
  readonly directive: string;
}

class Chart {
  readonly lines: string[] = [];
  #count = 0;
  #depth = 1;

  line(text: string): void {
    this.lines.push('  '.repeat(this.#depth) + text);
  }

  edge(from: string, to: string, label?: string): void {
    this.line(label === undefined ? `${from} --> ${to}` : `${from} -- "${escapeLabel(label)}" --> ${to}`);
  }

  /** Nodes of a list, and how they follow one another. */
  list(value: unknown): Ends {
    const tasks = (Array.isArray(value) ? value : []).flatMap(entry => Object.entries(membersOf(entry)));
    const nodes = tasks.map(([name, task]) => ({
      id: this.#task(name, membersOf(task)),
      name,
      task: membersOf(task),
    }));
    const byName = new Map(nodes.map(({ name, id }) => [name, id]));
    const last: string[] = [];
    nodes.forEach(({ id, task }, index) => {
      for (const { label, directive } of branchesOf(task)) {
        const following = directive === 'continue' ? nodes[index + 1]?.id : byName.get(directive);
        if (directive === 'end') this.edge(id, 'finish', label);
        else if (following === undefined) last.push(id);
        else this.edge(id, following, label);
      }
    });
    return { first: nodes[0]?.id, last };
  }

  #task(name: string, task: Members): string {
    const id = `n${this.#count++}`;
    const inside = listsOf(task);
    const label = `${name}: ${kindOf(task)}`;
    if (inside.length === 0) {
      const [open, close] = task.switch === undefined ? ['["', '"]'] : ['{"', '"}'];
      this.line(`${id}${open}${escapeLabel(label)}${close}`);
      return id;
    }
    this.#inside(`subgraph ${id}["${escapeLabel(label)}"]`, () => {
      for (const { title, tasks } of inside) {
        if (title === undefined) this.list(tasks);
        else this.#inside(`subgraph n${this.#count++}["${escapeLabel(title)}"]`, () => this.list(tasks));
      }
    });
    return id;
  }

  #inside(head: string, body: () => void): void {
    this.line(head);
    this.#depth++;
    body();
    this.#depth--;
    this.line('end');
  }
}

/** The lists of tasks inside a task. Parallel branches stand side by side, each in a frame of its own. */
function listsOf(task: Members): readonly { readonly title: string | undefined; readonly tasks: unknown }[] {
  const { fork, foreach } = task;
  const caught = membersOf(task.catch).do;
  const branches = membersOf(fork).branches;
  return [
    ...(Array.isArray(task.do) ? [{ title: undefined, tasks: task.do }] : []),
    ...(Array.isArray(task.try) ? [{ title: 'try', tasks: task.try }] : []),
    ...(Array.isArray(caught) ? [{ title: 'catch', tasks: caught }] : []),
    ...(Array.isArray(branches)
      ? branches.map((branch: unknown, index) => ({ title: `branch ${index + 1}`, tasks: [branch] }))
      : []),
    ...(Array.isArray(membersOf(foreach).do)
      ? [{ title: 'for each event', tasks: membersOf(foreach).do }]
      : []),
  ];
}

const kinds = ['call', 'for', 'fork', 'try', 'switch', 'set', 'wait', 'listen', 'emit', 'raise', 'run', 'do'];

function kindOf(task: Members): string {
  const kind = kinds.find(each => task[each] !== undefined) ?? 'task';
  if (kind === 'call') return `call ${String(task.call)}`;
  if (kind === 'for')
    return `for ${String(membersOf(task.for).each ?? 'item')} in ${String(membersOf(task.for).in)}`;
  if (kind === 'fork' && membersOf(task.fork).compete === true) return 'fork, first wins';
  return kind;
}

/** Where the list goes on: one way, or one for each case of a switch. */
function branchesOf(task: Members): readonly Branch[] {
  const otherwise: Branch = { label: undefined, directive: directiveOf(task.then) };
  if (!Array.isArray(task.switch)) return [otherwise];
  const cases = task.switch.flatMap(entry =>
    Object.entries(membersOf(entry)).map(([name, value]) => ({
      name,
      when: membersOf(value).when,
      directive: directiveOf(membersOf(value).then),
    })),
  );
  const branches = cases.map(
    ({ name, when, directive }): Branch => ({
      label: when === undefined ? name : `${name}: ${String(when)}`,
      directive,
    }),
  );
  return cases.some(({ when }) => when === undefined) ? branches : [...branches, otherwise];
}

const directiveOf = (then: unknown) => (typeof then === 'string' ? then : 'continue');

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

/** Mermaid's own entity codes for all that is not plain. */
function escapeLabel(text: string): string {
  const cut = text.length > 120 ? `${text.slice(0, 119)}…` : text;
  return cut
    .replace(/[^\p{L}\p{N} .,:;_/+*=<>!?()…-]/gu, each => `#${each.codePointAt(0)};`)
    .replaceAll('<', '#lt;')
    .replaceAll('>', '#gt;');
}
