import type { AuditSchema } from '@strata/shared/audit/audit-schema.ts';
import type { MigrationSet } from '@strata/shared/stores/migrations.ts';
import type { ApprovalStatus } from '../domain/approval.ts';

export interface ApprovalSchema extends AuditSchema {
  approvals: {
    id: string;
    tenant: string;
    run_id: string;
    task_path: string;
    workflow: string;
    status: ApprovalStatus;
    /** JSON of title, description, content and form. */
    question: string;
    digest: string;
    /** JSON list. */
    assignees: string;
    created_at_ms: number;
    deadline_at_ms: number;
    /** JSON of the decision. */
    decision: string | null;
    decided_at_ms: number | null;
    /** 1 when the run has the decision. */
    delivered: number;
  };
}

export const approvalMigrations: MigrationSet = {
  name: 'approvals',
  migrations: [
    {
      name: '0001-approvals',
      statements: ({ text, integer, timeMs, json, tableOptions }) => [
        `create table approvals (
          id ${text} primary key,
          tenant ${text} not null,
          run_id ${text} not null,
          task_path ${text} not null,
          workflow ${text} not null,
          status ${text} not null,
          question ${json} not null,
          digest ${text} not null,
          assignees ${json} not null,
          created_at_ms ${timeMs} not null,
          deadline_at_ms ${timeMs} not null,
          decision ${json},
          decided_at_ms ${timeMs},
          delivered ${integer} not null
        ) ${tableOptions}`,
        'create index approvals_by_status on approvals (tenant, status, id)',
        'create index approvals_undelivered on approvals (decided_at_ms) where delivered = 0 and decided_at_ms is not null',
      ],
    },
  ],
};
