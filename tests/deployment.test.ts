import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { stackSchema } from '@strata/cli/start/stack-config.ts';
import { readEnvironment } from '@strata/shared/config/environment.ts';
import { loadConfig } from '@strata/shared/config/load.ts';
import { shapeOf } from '@strata/shared/config/schema-shape.ts';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

/** What can be proved about the container files without a container engine. */

const root = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const gateways = ['ai-gateway', 'mcp-gateway', 'agent-gateway'] as const;
const defaults = stackSchema.parse({});
const portOf = {
  'ai-gateway': defaults.ai_gateway.listen.port,
  'mcp-gateway': defaults.mcp_gateway.listen.port,
  'agent-gateway': defaults.agent_gateway.listen.port,
};

interface ComposeService {
  readonly build?: { context: string; dockerfile: string };
  readonly image?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: string[];
  readonly stop_grace_period?: string;
  readonly environment?: Record<string, string>;
  readonly ports?: string[];
  readonly volumes?: string[];
  readonly depends_on?: Record<string, { condition: string }>;
  readonly healthcheck?: { test: string[] };
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
};
const service = (name: string): ComposeService => {
  const found = compose.services[name];
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
  return found;
};

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

function dockerfile(name: string): Instruction[] {
  return read(`packages/${name}/Dockerfile`)
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '' && !line.startsWith('#'))
    .map(line => {
      const [keyword = '', ...rest] = line.trim().split(/\s+/);
      return { name: keyword.toUpperCase(), rest: rest.join(' ') };
    });
}

const variablesIn = (name: string): Record<string, string> =>
  Object.fromEntries(
    dockerfile(name)
      .filter(each => each.name === 'ENV')
      .flatMap(each =>
        [...each.rest.matchAll(/(\w+)=(\S+)/g)].map(match => [match[1] ?? '', match[2] ?? '']),
      ),
  );

const ignored = read('.dockerignore')
  .split('\n')
  .filter(line => line.trim() !== '')
  .map(
    glob =>
      new RegExp(
        `^${glob
          .replaceAll('.', '\\.')
          .replaceAll('**/', '(?:.*/)?')
          .replaceAll(/(?<!\.)\*/g, '[^/]*')}(?:/.*)?$`,
      ),
  );
const isIgnored = (path: string) => ignored.some(pattern => pattern.test(path));

test.each(gateways)('%s: every path that is copied exists and is not left out by .dockerignore', name => {
  const copied = dockerfile(name)
    .filter(each => each.name === 'COPY' && !each.rest.startsWith('--from'))
    .flatMap(each => each.rest.split(' ').slice(0, -1));
  expect(copied.length).toBeGreaterThan(4);
  for (const path of copied) {
    expect(existsSync(join(root, path)), path).toBe(true);
    expect(isIgnored(path), path).toBe(false);
  }
});

test.each(gateways)(
  '%s: everything its entry imports is in the image, and every package is a production dependency',
  name => {
    const copied = dockerfile(name)
      .filter(each => each.name === 'COPY' && !each.rest.startsWith('--from'))
      .flatMap(each => each.rest.split(' ').slice(0, -1));
    const reached = reachableFrom(join(root, `packages/${name}/src/main.ts`));
    expect(reached.files.length).toBeGreaterThan(20);
    for (const file of reached.files) {
      const path = relative(root, file);
      expect(
        copied.some(source => path === source || path.startsWith(`${source}/`)),
        `${path} is not copied`,
      ).toBe(true);
      expect(isIgnored(path), `${path} is ignored`).toBe(false);
    }
    for (const { owner, dependency } of reached.dependencies) {
      const manifest = JSON.parse(read(`packages/${owner}/package.json`)) as {
        dependencies: Record<string, string>;
      };
      expect(Object.keys(manifest.dependencies), `${owner} uses ${dependency}`).toContain(dependency);
    }
  },
);

test.each(gateways)('%s: port, health path, user and command match the code', name => {
  const instructions = dockerfile(name);
  const value = (keyword: string) => instructions.filter(each => each.name === keyword).at(-1)?.rest ?? '';
  expect(value('EXPOSE')).toBe(String(portOf[name]));
  expect(value('USER')).toBe('node');
  expect(value('HEALTHCHECK')).toContain(`http://127.0.0.1:${portOf[name]}/readyz`);
  const [program, ...args] = JSON.parse(value('CMD')) as string[];
  expect([program, args.at(-1)]).toEqual(['node', `packages/${name}/src/main.ts`]);
  const flags = args.slice(0, -1);
  expect(spawnSync(process.execPath, [...flags, '--eval', '']).status, flags.join(' ')).toBe(0);
  const probe = /"(packages\/[^"]+\.ts)"/.exec(value('HEALTHCHECK'))?.[1] ?? '';
  expect(existsSync(join(root, probe)), probe).toBe(true);
  expect(value('FROM')).toMatch(/^node:24-/);
});

test('every STRATA_ variable in the container files is a real configuration key', () => {
  const shape = shapeOf(stackSchema);
  const sources = {
    ...Object.fromEntries(gateways.map(name => [`${name}/Dockerfile`, variablesIn(name)])),
    ...Object.fromEntries(
      Object.entries(compose.services).map(([name, each]) => [`compose ${name}`, each.environment ?? {}]),
    ),
  };
  for (const [source, variables] of Object.entries(sources)) {
    expect(readEnvironment(variables, shape, {}).problems, source).toEqual([]);
  }
  expect(
    Object.keys(service('agent-gateway').environment ?? {}).filter(name => name.startsWith('STRATA_')).length,
  ).toBeGreaterThan(4);
});

test.each(gateways)(
  '%s runs without root, without a writable root file system, and is given time to drain',
  name => {
    const it = service(name);
    expect(it.user).toBe('node');
    expect(it.read_only).toBe(true);
    expect(it.cap_drop).toEqual(['ALL']);
    const drainSeconds = defaults.ai_gateway.listen.drain_timeout_ms / 1000;
    expect(Number.parseInt(it.stop_grace_period ?? '0', 10)).toBeGreaterThan(drainSeconds + 5);
    expect(it.build).toEqual({ context: '.', dockerfile: `packages/${name}/Dockerfile` });
    expect(it.ports).toEqual([`127.0.0.1:${portOf[name]}:${portOf[name]}`]);
    expect(it.healthcheck?.test.at(-1)).toBe(`http://127.0.0.1:${portOf[name]}/readyz`);
  },
);

test('the chain: who depends on whom, addresses that name services, volumes and files that exist', () => {
  expect(Object.keys(compose.services).sort()).toEqual([
    'agent-gateway',
    'ai-gateway',
    'mcp-gateway',
    'postgres',
    'redis',
  ]);
  for (const [name, each] of Object.entries(compose.services)) {
    expect(each.healthcheck, `${name} has a health check`).toBeDefined();
    for (const [dependency, { condition }] of Object.entries(each.depends_on ?? {})) {
      expect(compose.services[dependency], dependency).toBeDefined();
      expect(condition).toBe('service_healthy');
    }
    for (const volume of each.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (source.startsWith('.')) expect(statSync(join(root, source)).isFile(), source).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  }
  const agent = service('agent-gateway').environment ?? {};
  expect(agent.STRATA_AGENT_GATEWAY__AI_GATEWAY).toBe(`http://ai-gateway:${portOf['ai-gateway']}`);
  expect(agent.STRATA_AGENT_GATEWAY__MCP_GATEWAY).toBe(`http://mcp-gateway:${portOf['mcp-gateway']}/mcp`);
});

test('the configuration that the containers mount is valid as it is, and stays so with its examples taken in', () => {
  const text = read('deploy/strata.yaml');
  const withExamples = text
    .replaceAll(/^ {2}(providers|models|servers): \{\}\n/gm, '')
    .replaceAll(/^ {2}# /gm, '  ');
  const env = { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k', SEARCH_TOKEN: 't' };
  for (const each of [text, withExamples])
    loadConfig(stackSchema, { source: 'deploy/strata.yaml', text: each }, { env });
  expect(
    loadConfig(stackSchema, { source: 'x', text: withExamples }, { env }).ai_gateway.models,
  ).toHaveProperty('fast');
  const root = read('strata.yaml').replaceAll(/^# (?=(?:ai_gateway| {2,}))/gm, '');
  expect(
    loadConfig(stackSchema, { source: 'strata.yaml', text: root }, { env }).ai_gateway.models.fast?.targets,
  ).toHaveLength(2);
});

test('no secret has a default in the compose file', () => {
  const text = read('docker-compose.yml');
  for (const name of ['STRATA_PEPPER', 'STRATA_POSTGRES_PASSWORD']) {
    expect(text.match(new RegExp(`\\$\\{${name}(?!:\\?)`, 'g')), name).toBeNull();
  }
});

interface Reached {
  readonly files: string[];
  readonly dependencies: { owner: string; dependency: string }[];
}

/** Files and packages that Node loads from an entry, by its static and dynamic imports; types are erased. */
function reachableFrom(entry: string): Reached {
  const files = new Set<string>();
  const dependencies: { owner: string; dependency: string }[] = [];
  const visit = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    const owner = relative(join(root, 'packages'), file).split('/')[0] ?? '';
    const text = readFileSync(file, 'utf8').replaceAll(/import type [^;]+;/g, '');
    for (const match of text.matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*['"]([^'"\n]+)['"]/g)) {
      const specifier = match[1] ?? '';
      const local = /^@strata\/([^/]+)\/(.+)$/.exec(specifier);
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier));
      else if (local) {
        dependencies.push({ owner, dependency: `@strata/${local[1]}` });
        visit(join(root, 'packages', local[1] ?? '', 'src', local[2] ?? ''));
      } else if (!specifier.startsWith('node:')) {
        const parts = specifier.split('/');
        dependencies.push({
          owner,
          dependency: specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? ''),
        });
      }
    }
  };
  visit(entry);
  return {
    files: [...files],
    dependencies: dependencies.filter(each => each.owner !== each.dependency.replace('@strata/', '')),
  };
}

test('test files and test tools stay out of the images', () => {
  const testing = readdirSync(join(root, 'packages/shared/src/testing')).map(
    name => `packages/shared/src/testing/${name}`,
  );
  expect(testing.every(isIgnored)).toBe(true);
  expect(isIgnored('packages/shared/src/json/parse-json.test.ts')).toBe(true);
  expect(isIgnored('packages/shared/src/json/parse-json.ts')).toBe(false);
});
