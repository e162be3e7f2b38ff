import { resolve } from 'node:path';
import { ConfigError } from '@strata/shared/config/problem.ts';
import { InvalidArgumentError } from 'commander';
import { createConsole } from './console.ts';
import { createFirstKeys, type FirstKeys } from './first-keys.ts';
import { providerDefaults } from './provider-defaults.ts';
import { loadStackConfig, type StackConfig } from './stack-config.ts';
import { Supervisor } from './supervisor.ts';

const gateways = [
  { name: 'ai-gateway', section: 'ai_gateway' },
  { name: 'mcp-gateway', section: 'mcp_gateway' },
  { name: 'agent-gateway', section: 'agent_gateway' },
] as const;

const sourceRoot = resolve(import.meta.dirname, '../../..');

/** `strata start`: the whole stack until Ctrl-C. Resolves with the exit code. */
export async function startStack(options: { simulatorPort: number }): Promise<number> {
  const startedAt = performance.now();
  const console = createConsole();
  const config = readConfigOrExplain();
  if (config === undefined) return 2;

  const supervisor = new Supervisor(resolve(config.data_dir, 'logs'), {
    onReady: (name, url, tookMs) => console.service(name, `${url}  ready in ${(tookMs / 1000).toFixed(1)} s`),
    onNotice: (name, text) => console.warning(name, text),
    onRestart: (name, reason, delayMs) =>
      console.warning(name, `${reason}; starting it again in ${delayMs} ms`),
    onGivenUp: (name, reason) => console.warning(name, `${reason}; stopping`),
  });
  const stopped = stopRequested();
  console.line(console.strong('Strata'));

  const firstKeys = await createFirstKeys(config);
  const up = startAll(supervisor, config, options.simulatorPort);
  const first = await Promise.race([up, supervisor.failed, stopped]);
  if (first === 'up') {
    if (firstKeys !== undefined) for (const line of welcome(firstKeys, config)) console.line(line);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.line(`Ready in ${seconds} s. Logs are in ${config.data_dir}/logs. Ctrl-C stops.`);
  }
  const ended = first === 'up' ? await Promise.race([supervisor.failed, stopped]) : first;
  if (ended === 'stop') console.line('Draining…');
  await supervisor.stop();
  if (ended === 'stop') console.line('Stopped.');
  return typeof ended === 'number' ? ended : 0;
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('Expected a port from 0 to 65535.');
  return port;
}

function readConfigOrExplain(): StackConfig | undefined {
  try {
    return loadStackConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return undefined;
  }
}

async function startAll(supervisor: Supervisor, config: StackConfig, simulatorPort: number): Promise<'up'> {
  const defaults = providerDefaults(config, process.env);
  let overlay =
    defaults.type === 'configured' ? {} : defaults.type === 'from-keys' ? defaults.env : undefined;
  if (defaults.type === 'simulated') {
    const url = await supervisor.start({
      name: 'simulator',
      args: [`${sourceRoot}/shared/src/testing/simulator/main.ts`, '--port', String(simulatorPort)],
      env: process.env,
    });
    overlay = defaults.envFor(url);
  }
  const chain = {
    STRATA_AGENT_GATEWAY__AI_GATEWAY: urlOf(config.ai_gateway.listen),
    STRATA_AGENT_GATEWAY__MCP_GATEWAY: `${urlOf(config.mcp_gateway.listen)}/mcp`,
  };
  await Promise.all(
    gateways.map(({ name }) =>
      supervisor.start({
        name,
        args: [`${sourceRoot}/${name}/src/main.ts`],
        env: { ...chain, ...overlay, ...process.env },
      }),
    ),
  );
  return 'up';
}

function stopRequested(): Promise<'stop'> {
  return new Promise(resolveStop => {
    let asked = false;
    const stop = () => {
      if (asked) process.exit(130);
      asked = true;
      resolveStop('stop');
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}

function urlOf(listen: { host: string; port: number }): string {
  const host = listen.host === '0.0.0.0' || listen.host === '::' ? '127.0.0.1' : listen.host;
  return `http://${host}:${listen.port}`;
}

/** What a newcomer needs: the keys, this once, and three lines that work as they are. */
function welcome(keys: FirstKeys, config: StackConfig): string[] {
  const demo = keys.demo.reveal();
  const model = Object.keys(config.ai_gateway.models)[0] ?? 'demo';
  const json = "-H 'content-type: application/json'";
  const chat = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] });
  const initialize = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'curl', version: '1' } },
  });
  const run = JSON.stringify({
    definition: {
      document: { dsl: '1.0.3', namespace: 'demo', name: 'hello', version: '1.0.0' },
      do: [{ ask: { call: 'agent', with: { model, instructions: 'Be brief.', input: 'Say hello.' } } }],
    },
  });
  return [
    '',
    `Admin key, shown this once: ${keys.admin.reveal()}`,
    `Demo key, shown this once:  ${demo}`,
    '',
    'Try it:',
    `curl -s ${urlOf(config.ai_gateway.listen)}/v1/chat/completions -H 'authorization: Bearer ${demo}' ${json} -d '${chat}'`,
    `curl -s ${urlOf(config.mcp_gateway.listen)}/mcp -H 'authorization: Bearer ${demo}' ${json} -H 'accept: application/json, text/event-stream' -d '${initialize}'`,
    `curl -s '${urlOf(config.agent_gateway.listen)}/v1/runs?wait=20' -H 'authorization: Bearer ${demo}' ${json} -d '${run}'`,
    '',
  ];
}
