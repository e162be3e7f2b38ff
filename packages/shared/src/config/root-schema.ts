import * as z from 'zod';
import { auditSection } from '../audit/audit-section.ts';
import { networkSection } from '../http/network-section.ts';
import { identitySection } from '../identity/identity-section.ts';
import { limitsSection } from '../limits/limit-section.ts';
import { budgetsSection } from '../money/budget-section.ts';
import { ledgerSection } from '../money/money-section.ts';
import { hotSection, storeSection } from '../stores/store-section.ts';
import { telemetrySection } from '../telemetry/telemetry-section.ts';

const otherGateway = z.unknown().optional();

/** The sections that all gateways read. */
export const sharedSections = {
  data_dir: z
    .string()
    .min(1)
    .default('./.strata')
    .describe('Folder for the embedded stores and for secrets made on the first start.'),
  store: storeSection,
  hot: hotSection,
  identity: identitySection,
  telemetry: telemetrySection,
  network: networkSection,
  ledger: ledgerSection,
  audit: auditSection,
  budgets: budgetsSection,
  limits: limitsSection,
};

export type SharedConfig = z.output<ReturnType<typeof sharedSchema>>;

function sharedSchema() {
  return z.strictObject(sharedSections);
}

/**
 * The schema of the whole file as one gateway sees it: the shared sections and its own, strict; the sections of the
 * other two are allowed and left unread, because a gateway knows nothing of its neighbours.
 */
export function rootSchema<Sections extends z.ZodRawShape>(sections: Sections) {
  const others = { ai_gateway: otherGateway, mcp_gateway: otherGateway, agent_gateway: otherGateway };
  // The sections replace their namesakes, which TypeScript does not see through a generic spread.
  const shape = { ...sharedSections, ...others, ...sections } as typeof sharedSections &
    Omit<typeof others, keyof Sections> &
    Sections;
  return z.strictObject(shape);
}
