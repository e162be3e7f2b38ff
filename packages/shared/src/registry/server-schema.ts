import type { MigrationSet } from '../stores/migrations.ts';

/** Tool servers as an admin registered or switched them. */
export interface ServerSchema {
  mcp_servers: {
    name: string;
    /** Sealed: it holds credentials. Null where only the state of a server of the configuration is kept. */
    config: string | null;
    /** `enabled`, `disabled`, `draining`. */
    state: string;
    revision: number;
    changed_at_ms: number;
  };
}

export const serverMigrations: MigrationSet = {
  name: 'mcp-servers',
  migrations: [
    {
      name: '0001-mcp-servers',
      statements: ({ text, integer, timeMs, tableOptions }) => [
        `create table mcp_servers (
          name ${text} primary key,
          config ${text},
          state ${text} not null,
          revision ${integer} not null,
          changed_at_ms ${timeMs} not null
        ) ${tableOptions}`,
      ],
    },
  ],
};
