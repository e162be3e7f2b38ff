import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../../..');

/** One gateway after another in the same place: what is killed is started again under a new address. */
export interface GatewayPlace {
  /** Of the process that is here: no two have the same. */
  readonly name: string;
  /** Of the process that is here; empty, and 0, while none is. */
  readonly url: string;
  readonly pid: number;
  readonly key: string;
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** A request to whoever is here now. */
  ask(path: string, body: object): Promise<GatewayReply>;
}

export type GatewayReply =
  | { readonly type: 'answer'; readonly status: number; readonly body: string }
  /** The connection broke, or nobody was there. */
  | { readonly type: 'broken' };

export interface GatewayPlaces {
  readonly places: readonly GatewayPlace[];
  /** Of the one who asks. */
  readonly key: string;
  close(): Promise<void>;
}

/** Real ai-gateway processes on one configuration and one store. */
export async function openGatewayPlaces(options: {
  readonly count: number;
  /** As it would stand in `strata.yaml`. */
  readonly config: Record<string, unknown>;
  /** What one process is told beside it. */
  readonly environmentOf?: (name: string) => Record<string, string>;
}): Promise<GatewayPlaces> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-gateways-'));
  const env = {
    ...process.env,
    STRATA_CONFIG: join(folder, 'strata.yaml'),
    // Compiled code is kept between starts: what is tested is the dying, not the loading.
    NODE_COMPILE_CACHE: join(tmpdir(), 'strata-compiled'),
  };
  mkdirSync(env.NODE_COMPILE_CACHE, { recursive: true });
  const config = { data_dir: folder, telemetry: { log_level: 'fatal' }, ...options.config };
  writeFileSync(env.STRATA_CONFIG, JSON.stringify(config));
  const key = execFileSync(
    process.execPath,
    [join(root, 'packages/shared/src/create-key.ts'), '--name', 'test', '--principal', 'tester'],
    { env, encoding: 'utf8' },
  ).trim();
  const { environmentOf = () => ({}) } = options;
  const places = Array.from({ length: options.count }, (_, index) =>
    createPlace({ key, prefix: `g${index}`, environmentOf: name => ({ ...env, ...environmentOf(name) }) }),
  );
  return {
    places,
    key,
    async close() {
      await Promise.all(places.map(place => place.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function createPlace(options: {
  readonly key: string;
  readonly prefix: string;
  readonly environmentOf: (name: string) => NodeJS.ProcessEnv;
}): GatewayPlace {
  const { key, prefix, environmentOf } = options;
  const main = join(root, 'packages/ai-gateway/src/main.ts');
  let child: ChildProcess | undefined;
  let url = '';
  let agent = new Agent({ keepAlive: true });
  let starts = 0;

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const ending = child;
    if (ending === undefined) return null;
    child = undefined;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    const [code] = (await exited) as [number | null];
    agent.destroy();
    return code;
  }

  return {
    get name() {
      return `${prefix}.${starts}`;
    },
    get url() {
      return child === undefined ? '' : url;
    },
    get pid() {
      return child?.pid ?? 0;
    },
    key,
    async start() {
      const started = spawn(process.execPath, [main], {
        env: environmentOf(`${prefix}.${++starts}`),
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const ready = await Promise.race([
        once(started, 'message'),
        once(started, 'exit').then(() => undefined),
      ]);
      if (ready === undefined) throw new Error('A gateway did not start');
      url = (ready[0] as { url: string }).url;
      child = started;
      agent = new Agent({ keepAlive: true });
    },
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    ask: (path, body) => post({ url: `${url}${path}`, key, agent, body }),
  };
}

function post(options: { url: string; key: string; agent: Agent; body: object }): Promise<GatewayReply> {
  const { url, key, agent } = options;
  const bytes = Buffer.from(JSON.stringify(options.body));
  return new Promise(resolve => {
    const broken = () => resolve({ type: 'broken' });
    const request = httpRequest(url, {
      method: 'POST',
      agent,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'content-length': bytes.length,
      },
    });
    request.on('error', broken);
    request.on('response', response => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', broken);
      response.on('close', () => {
        if (!response.complete) return broken();
        const body = Buffer.concat(parts).toString();
        resolve({ type: 'answer', status: response.statusCode ?? 0, body });
      });
    });
    request.end(bytes);
  });
}
