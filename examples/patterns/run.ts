import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * Runs the workflows of this folder against a started stack and checks what came out.
 *
 *   pnpm example:patterns [name…]
 *   STRATA_KEY   a virtual key (the demo key that the first start prints)
 */
const agentUrl = process.env.STRATA_AGENT_URL ?? 'http://127.0.0.1:4300';
const key = process.env.STRATA_KEY ?? '';
const hotel = resolve(import.meta.dirname, '../first-workflow/workspace/hotel.txt');

interface Run {
  readonly id: string;
  readonly status: string;
  readonly output?: Readonly<Record<string, unknown>>;
  readonly error?: unknown;
}

interface Pattern {
  readonly input: unknown;
  /** How it is begun, when it is not by submitting it. */
  readonly begin?: (definition: string) => Promise<Run>;
  /** What somebody does while the run waits. */
  readonly meanwhile?: (run: Run) => Promise<void>;
  isRight(output: Readonly<Record<string, unknown>>): boolean;
}

const wordOf = (each: unknown) => (each as { word: string }).word;
const isText = (value: unknown) => typeof value === 'string' && value !== '';

const patterns: Readonly<Record<string, Pattern>> = {
  sequential: {
    input: { topic: 'the new opening hours' },
    isRight: output => isText(output.draft) && isText(output.short),
  },
  router: {
    input: { question: 'Why was I charged twice?' },
    isRight: output => ['billing', 'technical', 'other'].includes(String(output.team)),
  },
  parallel: {
    input: { text: 'Water boils at 90 degrees.' },
    isRight: output => isText(output.facts) && isText(output.style),
  },
  map: {
    input: { words: ['one', 'two', 'three', 'four', 'five'] },
    isRight: output => Object.values(output).map(wordOf).join() === 'one,two,three,four,five',
  },
  judge: {
    input: { product: 'umbrellas' },
    isRight: output => isText(output.slogan) && [1, 2, 3].includes(Number(output.rounds)),
  },
  approval: { input: { amount: 20 }, meanwhile: approve, isRight: output => output.paid === 20 },
  scheduled: { input: {}, begin: storeAndTrigger, isRight: output => isText(output.report) },
  saga: {
    input: { hotel },
    isRight: output =>
      output.booked === false &&
      output.why === 'Card declined' &&
      readFileSync(hotel, 'utf8') === 'cancelled',
  },
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(patterns);
for (const name of wanted) {
  const pattern = patterns[name];
  if (pattern === undefined) fail(`There is no pattern '${name}': ${Object.keys(patterns).join(', ')}`);
  const output = await runPattern(name, pattern);
  console.log(`${name}: ${JSON.stringify(output)}`);
}

async function runPattern(
  name: string,
  { input, begin = submit(input), meanwhile, isRight }: Pattern,
): Promise<unknown> {
  const definition = readFileSync(resolve(import.meta.dirname, `${name}.yaml`), 'utf8');
  const begun = await begin(definition);
  await meanwhile?.(begun);
  const run = await untilEnded(begun);
  if (run.status !== 'completed') fail(`${name} ended as ${run.status}: ${JSON.stringify(run.error)}`);
  if (!isRight(run.output ?? {})) fail(`${name} gave ${JSON.stringify(run.output)}`);
  return run.output;
}

/** The event stream of a run ends when the run does. */
async function untilEnded({ id }: Run): Promise<Run> {
  const stream = await fetch(`${agentUrl}/v1/runs/${id}/events`, {
    headers: { authorization: `Bearer ${key}` },
  });
  await stream.text();
  return (await call('GET', `/v1/runs/${id}`)) as Run;
}

function submit(input: unknown): (definition: string) => Promise<Run> {
  return async definition => (await call('POST', '/v1/runs', { definition, input })) as Run;
}

/** Its time is on Monday; here it is begun at once. */
async function storeAndTrigger(definition: string): Promise<Run> {
  await call('PUT', '/v1/workflows/examples/scheduled/1.0.0', definition);
  const { runs } = (await call('POST', '/v1/schedules/examples.scheduled:trigger', {})) as { runs: string[] };
  return (await call('GET', `/v1/runs/${runs[0]}`)) as Run;
}

async function approve({ id }: Run): Promise<void> {
  for (;;) {
    const { approvals } = (await call('GET', '/v1/approvals')) as {
      approvals: { id: string; run: string; digest: string }[];
    };
    const asked = approvals.find(each => each.run === id);
    if (asked !== undefined) {
      await call('POST', `/v1/approvals/${asked.id}:decide`, { decision: 'approved', digest: asked.digest });
      return;
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(agentUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': mediaTypeOf(body) }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) fail(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

function mediaTypeOf(body: unknown): string {
  return typeof body === 'string' ? 'application/yaml' : 'application/json';
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
