import { defineConfig } from 'vitest/config';

/** The one test configuration. Unit tests sit beside their file; tests across packages live in `tests/`. */
export default defineConfig({
  test: {
    projects: [
      ...['shared', 'ai-gateway', 'mcp-gateway', 'agent-gateway', 'cli'].map(name => ({
        test: {
          name,
          root: `packages/${name}`,
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      })),
      {
        test: {
          name: 'stack',
          root: '.',
          include: ['tests/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
