import { defineConfig } from 'vitest/config';

const isSoak = process.env.SOAK === '1' || process.env.STRATA_SOAK === '1';
// A gateway that a test starts takes every variable of the second kind for configuration, and knows no such key.
if (isSoak) process.env.SOAK = '1';
delete process.env.STRATA_SOAK;
const longMs = 60 * 60_000;

const packages = ['shared', 'ai-gateway', 'mcp-gateway', 'agent-gateway', 'cli'];

/** The one test configuration. Unit tests sit beside their file; tests across packages live in `tests/` and run last. `pnpm soak` gives long ones an hour. */
export default defineConfig({
  test: {
    reporters: ['default', './scripts/closing-line.ts'],
    maxWorkers: 2,
    projects: [
      ...packages.map(name => ({
        test: {
          name,
          root: `packages/${name}`,
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          testTimeout: isSoak ? longMs : 240_000,
          hookTimeout: 180_000,
        },
      })),
      {
        test: {
          name: 'stack',
          root: '.',
          include: ['tests/**/*.test.ts'],
          testTimeout: isSoak ? longMs : 240_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
