import type { Clock } from '@strata/shared/clock.ts';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import type { ApprovalQuestion, ApprovalStatus, Approvals } from '../../domain/approval.ts';
import type { Effect } from '../../domain/effect.ts';

/** What `call: human` asks of its effect. */
export type HumanCall =
  | ({ readonly type: 'ask' } & ApprovalQuestion)
  | { readonly type: 'escalate'; readonly approval: string; readonly to: readonly string[] }
  | { readonly type: 'expire'; readonly approval: string };

export interface Asked {
  readonly approval: string;
}

export interface Expired {
  /** How it stands now: decided after all, when somebody was faster. */
  readonly status: ApprovalStatus;
}

/** Puts questions into the inbox of people. Each of these may be done again without harm. */
export function createHumanEffect({ approvals, clock }: { approvals: Approvals; clock: Clock }): Effect {
  return {
    type: 'human',
    async perform(request, context) {
      const call = request as HumanCall; // planned by `call: human`
      switch (call.type) {
        case 'ask': {
          const { type: _, ...question } = call;
          const id = approvalIdOf(context.idempotencyKey);
          await approvals.ask({
            ...question,
            id,
            tenant: context.identity.tenant,
            runId: context.runId,
            taskPath: context.taskPath,
            workflow: context.workflow,
            digest: digestOfQuestion(question),
            createdAtMs: clock.now(),
          });
          return { result: { approval: id } satisfies Asked };
        }
        case 'escalate':
          await approvals.escalate(call.approval, call.to);
          return { result: null };
        case 'expire':
          return { result: { status: await approvals.end(call.approval, 'expired') } satisfies Expired };
      }
    },
  };
}

/** The same for every attempt; sorts by the run, and so by time. */
const approvalIdOf = (idempotencyKey: string) => `apr_${idempotencyKey.replace(/^run_/, '')}`;

/** What is shown is what is decided: nothing of it may change afterwards. */
function digestOfQuestion({ title, description, content, form }: ApprovalQuestion): string {
  return digestOf(canonicalJson({ title, description, content: content ?? null, form: form ?? null }));
}
