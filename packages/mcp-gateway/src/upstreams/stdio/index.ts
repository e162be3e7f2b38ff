import { secretString } from '@strata/shared/config/secret-string.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { withholdCredentials } from '@strata/shared/http/withhold-credentials.ts';
import * as z from 'zod';
import { credentialsIn, credentialsInArguments } from '../shown-credentials.ts';
import type { Transport, TransportFactory } from '../transport.ts';
import { defineUpstream, type UpstreamPluginDeps, upstreamOptions } from '../upstream-plugin.ts';
import type { ChildDefinition } from './child.ts';
import { childEnvironment, isForbiddenVariable } from './child-environment.ts';
import { confined, type Sandbox } from './confinement.ts';
import { createPinnedFiles } from './pinned-files.ts';
import { createReaper } from './reaper.ts';
import { StartBreaker } from './start-breaker.ts';
import { type StdioLimits, StdioTransport } from './stdio-transport.ts';

const options = z.object({
  ...upstreamOptions,
  command: z
    .tuple([z.string().min(1)], z.string())
    .describe('Program and arguments that start the server. No shell reads them.'),
  env: z
    .record(
      z
        .string()
        .refine(name => !isForbiddenVariable(name), 'this variable would change which code the server runs'),
      secretString(),
    )
    .default({})
    .describe(
      'Environment variables for the server. It inherits only HOME, PATH and the like, nothing of the gateway.',
    ),
  cwd: z
    .string()
    .min(1)
    .optional()
    .describe('Working directory of the server; without it, that of the gateway.'),
  pinned_files: z
    .record(
      z.string().startsWith('/', 'an absolute path'),
      z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hex'),
    )
    .default({})
    .describe(
      'Files the server is started from and their SHA-256. With another content, the server is not started.',
    ),
  limits: z
    .strictObject({
      memory_bytes: z.int().min(1).optional().describe('Address space of one process.'),
      cpu_seconds: z.int().min(1).optional().describe('Processor time of one process.'),
      open_files: z.int().min(1).optional().describe('Files and sockets of one process.'),
      file_bytes: z.int().min(1).optional().describe('The largest file it may write.'),
    })
    .prefault({})
    .describe('What the kernel lets the server use. Needs `prlimit` of util-linux.'),
  sandbox: z
    .strictObject({
      network: z.boolean().default(false).describe('Whether the server reaches the network.'),
      read: z.array(z.string().startsWith('/')).default([]).describe('Paths it may read.'),
      write: z.array(z.string().startsWith('/')).default([]).describe('Paths it may read and write.'),
      processes: z
        .int()
        .min(1)
        .optional()
        .describe('Processes and threads in the sandbox at a time. The kernel counts none of root.'),
    })
    .optional()
    .describe(
      'Runs the server in a sandbox: it sees programs and libraries, an empty home and what is listed here. Needs `bwrap` of bubblewrap.',
    ),
  era: z
    .enum(['auto', 'legacy', 'modern'])
    .default('auto')
    .describe(
      'Which era of MCP the server speaks: modern (2026-07-28) or legacy (`initialize`). auto: a process that is ended again is asked once; pin it for a server that answers nothing before `initialize`, which would take half of `open_timeout_ms` to find out.',
    ),
  max_processes: z
    .int()
    .min(1)
    .max(10_000)
    .default(64)
    .describe('How many processes of this server may run at once, over all sessions.'),
  max_line_bytes: z
    .int()
    .min(1024)
    .max(256 * 1024 * 1024)
    .default(4 * 1024 * 1024)
    .describe(
      'The longest line the server may write, bytes. A longer answer is an error of its call; a line of sixteen times as much ends the server.',
    ),
  max_input_bytes: z
    .int()
    .min(1024)
    .max(256 * 1024 * 1024)
    .default(8 * 1024 * 1024)
    .describe('Bytes that may wait while the server does not read; past that, calls are refused.'),
  max_bad_lines: z
    .int()
    .min(1)
    .max(1000)
    .default(3)
    .describe('Lines in a row that are no JSON-RPC message before the server is stopped.'),
  max_lines_per_second: z
    .int()
    .min(10)
    .max(1_000_000)
    .default(20_000)
    .describe('Past this rate the server is made to wait.'),
  stop_grace_ms: z
    .int()
    .min(0)
    .max(60_000)
    .default(2_000)
    .describe(
      'How long a server gets after its stdin was closed, and again after SIGTERM, before it is killed.',
    ),
});

/** Tool servers that run as processes of the gateway and speak over stdin and stdout. */
export const stdioUpstream = defineUpstream({
  type: 'stdio',
  options,
  create: (settings, deps) => createLauncher(settings, deps),
});

function createLauncher(settings: z.output<typeof options>, deps: UpstreamPluginDeps): TransportFactory {
  const pinned = createPinnedFiles(deps.name, settings.pinned_files);
  const limits = limitsOf(settings);
  const credentials = [
    ...credentialsIn(environmentOf(settings)),
    ...credentialsInArguments(settings.command.slice(1)),
  ];
  const withheld = withholdCredentials(credentials);
  const reaper = createReaper();
  const running = new Set<Transport>();
  const breaker = new StartBreaker();

  const launch = async (transport: StdioTransport, session: object) => {
    const waitMs = breaker.waitMs(session, deps.clock.monotonic());
    if (waitMs > 0) throw flapping(deps.name, waitMs);
    if (running.size >= settings.max_processes) throw tooManyProcesses(deps.name, settings.max_processes);
    running.add(transport);
    try {
      await pinned.check();
      await transport.start();
    } catch (error) {
      running.delete(transport);
      breaker.ended(session, { livedMs: 0, wasOpened: false }, deps.clock.monotonic());
      throw error;
    }
  };

  return {
    kind: 'pipe',
    era: settings.era,
    credentials,
    create(events, _era, session) {
      let wasOpened = false;
      const transport: StdioTransport = new StdioTransport(
        {
          server: deps.name,
          definition: () => definitionOf(settings),
          limits,
          clock: deps.clock,
          log: deps.log,
          reaper,
          withheld,
          onEnded: (livedMs, wasWanted) => {
            running.delete(transport);
            if (!wasWanted) breaker.ended(session, { livedMs, wasOpened }, deps.clock.monotonic());
          },
        },
        events,
      );
      return {
        start: () => launch(transport, session),
        send: (bytes, request) => transport.send(bytes, request),
        abandon: () => transport.abandon(),
        opened() {
          wasOpened = true;
          transport.opened();
        },
        close: () => transport.close(),
      };
    },
    async close() {
      await Promise.all([...running].map(transport => transport.close()));
      reaper.close();
    },
  };
}

function definitionOf(settings: z.output<typeof options>): ChildDefinition {
  return {
    command: confined(settings.command, {
      limits: {
        memoryBytes: settings.limits.memory_bytes,
        cpuSeconds: settings.limits.cpu_seconds,
        openFiles: settings.limits.open_files,
        fileBytes: settings.limits.file_bytes,
      },
      sandbox: sandboxOf(settings.sandbox),
      cwd: settings.cwd,
      home: process.env.HOME,
    }),
    cwd: settings.cwd,
    environment: childEnvironment(process.env, environmentOf(settings)),
  };
}

function environmentOf({ env }: z.output<typeof options>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.reveal()]));
}

function limitsOf(settings: z.output<typeof options>): StdioLimits {
  return {
    maxLineBytes: settings.max_line_bytes,
    maxInputBytes: settings.max_input_bytes,
    maxBadLines: settings.max_bad_lines,
    maxLinesPerSecond: settings.max_lines_per_second,
    stopGraceMs: settings.stop_grace_ms,
  };
}

function flapping(server: string, waitMs: number): GatewayError {
  return new GatewayError('upstream_failed', `The server '${server}' keeps ending as soon as it starts.`, {
    reason: 'server_flapping',
    retryAfterMs: Math.ceil(waitMs),
    details: { server },
  });
}

function tooManyProcesses(server: string, limit: number): GatewayError {
  return new GatewayError('overloaded', `All ${limit} processes of the server '${server}' are in use.`, {
    reason: 'server_processes_exhausted',
    details: { server },
  });
}

function sandboxOf(settings: z.output<typeof options>['sandbox']): Sandbox | undefined {
  if (!settings) return undefined;
  const { network: hasNetwork, read, write, processes } = settings;
  return { hasNetwork, read, write, processes };
}
