import * as z from 'zod';
import { newId } from '../../ids.ts';
import type { Budget } from '../../money/budget.ts';
import { requireNotConfigured } from '../../money/configured-budgets.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminContext, type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import {
  budgetAnswer,
  budgetChange,
  budgetTarget,
  reconciledTarget,
  reconciliation,
  showBudget,
  toBudgetChange,
  toNewBudget,
  toReconciliation,
  writtenBudget,
} from './budget-fields.ts';
import { pageOf, pageQuery, readPage } from './list-page.ts';
import { idParams } from './tree.ts';

/** Budgets of an organisation. Those of the configuration are shown too, and are changed there. */
export function budgetRoutes(deps: AdminDeps): AdminRoute[] {
  return [
    listBudgets(deps),
    createBudget(deps),
    getBudget(deps),
    changeBudget(deps),
    reconcileBudget(deps),
    deleteBudget(deps),
  ];
}

const readers = ['owner', 'operator', 'auditor'] as const;
const writers = ['owner', 'operator'] as const;

function listBudgets(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/budgets',
    operation: 'budget.list',
    summary: 'The budgets of the organisation, by id, with what is spent.',
    roles: readers,
    query: z.object(pageQuery),
    answer: pageOf(budgetAnswer),
    handle: async ({ query }, context) => {
      const page = await readPage(context, query, {
        read: async ({ after = '', limit }) => {
          const all = await deps.budgetStore.list();
          return all.filter(each => each.tenant === context.tenant && each.id > after).slice(0, limit);
        },
        positionOf: budget => budget.id,
        show: budget => budget,
      });
      const items = await Promise.all(page.body.items.map(budget => showBudget(deps, budget)));
      return { body: { ...page.body, items } };
    },
  });
}

function createBudget(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/budgets',
    operation: 'budget.create',
    summary: 'Make a budget.',
    roles: writers,
    changes: true,
    status: 201,
    body: writtenBudget,
    answer: budgetAnswer,
    handle: async ({ body }, context) => {
      const wanted = toNewBudget(newId('bud', deps.clock.now()), context.tenant, body);
      const budget = await deps.budgetStore.create(wanted, context.change<Budget>(budgetTarget));
      return { body: await showBudget(deps, budget), revision: budget.version };
    },
  });
}

async function findBudget({ budgetStore }: AdminDeps, { tenant }: AdminContext, id: string): Promise<Budget> {
  const budget = await budgetStore.find(id);
  if (budget === undefined || budget.tenant !== tenant || budget.subject.kind === 'run')
    throw absent('budget');
  return budget;
}

/** One that is not the configuration's: what is changed there would be back at the next start. */
async function findOwn(deps: AdminDeps, context: AdminContext, id: string): Promise<void> {
  requireNotConfigured((await findBudget(deps, context, id)).id);
}

function getBudget(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/budgets/:id',
    operation: 'budget.get',
    summary: 'One budget, with what is spent.',
    roles: readers,
    params: idParams,
    answer: budgetAnswer,
    handle: async ({ params }, context) => {
      const budget = await findBudget(deps, context, params.id);
      return { body: await showBudget(deps, budget), revision: budget.version };
    },
  });
}

function changeBudget(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'PATCH',
    path: '/budgets/:id',
    operation: 'budget.change',
    summary: 'Change the limit or the mode of a budget.',
    roles: writers,
    changes: true,
    needsRevision: true,
    params: idParams,
    body: budgetChange,
    answer: budgetAnswer,
    handle: async ({ params, body }, context) => {
      await findOwn(deps, context, params.id);
      const { revision, record } = context.change<Budget>(budgetTarget);
      const budget = await deps.budgetStore.update(params.id, toBudgetChange(body), revision, { record });
      return { body: await showBudget(deps, budget), revision: budget.version };
    },
  });
}

function reconcileBudget(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/budgets/:id/reconcile',
    operation: 'budget.reconcile',
    summary: 'Say what processes that are gone had spent of `lost_usd`. The rest of it is free again.',
    roles: writers,
    changes: true,
    params: idParams,
    body: reconciliation,
    answer: budgetAnswer,
    handle: async ({ params, body }, context) => {
      await findBudget(deps, context, params.id);
      const { record } = context.change<Budget>(reconciledTarget(body));
      const budget = await deps.budgetStore.reconcileLost(params.id, toReconciliation(body), { record });
      return { body: await showBudget(deps, budget), revision: budget.version };
    },
  });
}

function deleteBudget(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'DELETE',
    path: '/budgets/:id',
    operation: 'budget.delete',
    summary: 'Remove a budget.',
    roles: writers,
    changes: true,
    needsRevision: true,
    status: 204,
    params: idParams,
    handle: async ({ params }, context) => {
      await findOwn(deps, context, params.id);
      const { revision, record } = context.change<Budget>(budgetTarget);
      await deps.budgetStore.remove(params.id, { version: revision, record });
      return { body: undefined };
    },
  });
}
