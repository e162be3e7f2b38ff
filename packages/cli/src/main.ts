import { ConfigError } from '@strata/shared/config/problem.ts';
import { limitUnits } from '@strata/shared/limits/limit.ts';
import { usageGroups } from '@strata/shared/money/usage-groups.ts';
import { Command, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { exportAudit, verifyAudit } from './audit/command.ts';
import { changeBudget, createBudget, deleteBudget, reconcileBudget, showBudgets } from './budgets/command.ts';
import { createKey, deleteKey, disableKey, listKeys, parseGraceMinutes, rotateKey } from './keys/command.ts';
import { deleteLimit, setLimit, showLimits } from './limits/command.ts';
import { parseMoment } from './moment.ts';
import { importPrices, showPrices } from './prices/command.ts';
import { retireKey, showSigningKeys } from './signing-keys/command.ts';
import { parsePort, startStack } from './start/command.ts';
import { showTree } from './tree/command.ts';
import {
  parseDays,
  parseFilter,
  parseGroups,
  parseMonth,
  parseTimeZone,
  showUsage,
  usageFilters,
} from './usage/command.ts';

const program = new Command('strata')
  .description('Three gateways for AI systems: models, tools, agents.')
  .version(manifest.version)
  .enablePositionalOptions();

program
  .command('start')
  .description('Run the whole stack on this machine until Ctrl-C.')
  .option(
    '--simulator-port <port>',
    'port of the provider simulator, used when no provider is configured',
    parsePort,
    4900,
  )
  .action(async (options: { simulatorPort: number }) => {
    process.exitCode = await startStack(options);
  });

const keys = program.command('keys').description('Virtual keys in the configured store.');
keys
  .command('create')
  .description('Make a key and print it once.')
  .requiredOption('--name <name>', 'what the key is for')
  .requiredOption('--principal <principal>', 'the person or service that is billed')
  .option('--tenant <tenant>', 'the organisation', 'default')
  .option('--admin', 'allow the admin routes', false)
  .option('--models <globs...>', 'models it may use', ['*'])
  .option('--tools <globs...>', 'MCP tools it may call', ['*'])
  .option('--workflows <globs...>', 'workflows it may run, as namespace/name', ['*'])
  .option('--agents <globs...>', 'agents it may use, as namespace/name; as --workflows unless given')
  .action(createKey);
keys
  .command('list')
  .description('One line a key: id, first characters, organisation, principal, name, role, state.')
  .option('--tenant <tenant>', 'only this organisation')
  .action(listKeys);
keys
  .command('rotate <id>')
  .description('Give a key a new secret and print it once.')
  .option('--grace-minutes <minutes>', 'how long the secret before still works', parseGraceMinutes, 60)
  .action(rotateKey);
keys.command('delete <id>').description('Remove a key for good.').action(deleteKey);
keys.command('disable <id>').description('Stop a key from working.').action(disableKey);

const signingKeys = program
  .command('signing-keys')
  .description('Keys with which gateways sign envelopes: id, gateway, since when, state.')
  .action(showSigningKeys);
signingKeys
  .command('retire <id>')
  .description('Accept nothing any more that was signed with it, anywhere, within a second.')
  .action(retireKey);

const prices = program
  .command('prices [pattern]')
  .description(
    'Prices of the models whose `vendor/model` holds the pattern: what the admin API has set, else the snapshot.',
  )
  .action(showPrices);
prices
  .command('import <file>')
  .description('Read a file in the format of LiteLLM and write a catalog for `ai_gateway.price_file`.')
  .action(importPrices);

program
  .command('usage')
  .description('What was used and what it cost, as CSV.')
  .option('--by <groups>', `some of ${usageGroups.join(', ')}, with commas between`, parseGroups, ['model'])
  .option(
    '--where <name=glob>',
    `only what fits; by ${usageFilters.join(', ')}; may be repeated`,
    parseFilter,
  )
  .option('--days <days>', 'how many days back', parseDays, 30)
  .option('--from <moment>', 'from this date or moment on', parseMoment)
  .option('--to <moment>', 'before this date or moment', parseMoment)
  .addOption(
    new Option('--month <month>', "a calendar month such as 2026-10, or 'this', or 'last'")
      .argParser(parseMonth)
      .conflicts(['from', 'to', 'days']),
  )
  .option('--time-zone <zone>', 'where the month begins at midnight', parseTimeZone, 'UTC')
  .option('--tenant <tenant>', 'only this organisation')
  .action(showUsage);

program
  .command('tree')
  .description('Organisations, teams, projects and principals.')
  .option('--tenant <tenant>', 'only this organisation')
  .action(showTree);

const budgets = program
  .command('budgets')
  .description('One line a budget: id, organisation, subject, window, mode, limit, spent, open, lost.')
  .option('--tenant <tenant>', 'only this organisation')
  .action(showBudgets);
budgets
  .command('create')
  .description('Make a budget. It holds in every process within a second.')
  .requiredOption('--subject <subject>', 'what it is for, such as team:support or model:claude*')
  .requiredOption('--limit <usd>', 'USD, such as 25.50')
  .option('--window <window>', 'day, week, month, rolling or total', 'month')
  .option('--time-zone <zone>', 'where a calendar window begins at midnight')
  .option('--hours <hours>', 'length of a rolling window')
  .option('--mode <mode>', 'hard refuses, soft only tells')
  .option('--tenant <tenant>', 'the organisation', 'default')
  .action(createBudget);
budgets
  .command('change <id>')
  .description('Give a budget another limit or mode.')
  .option('--limit <usd>', 'USD')
  .option('--mode <mode>', 'hard or soft')
  .action(changeBudget);
budgets
  .command('reconcile <id>')
  .description(
    'Say what processes that are gone had spent of a budget; the rest of what is lost is free again.',
  )
  .requiredOption('--lost <usd>', 'USD, as `strata budgets` shows it: what they held')
  .requiredOption('--spent <usd>', "USD of that, by the upstreams' own meters; 0 when nothing")
  .action(reconcileBudget);
budgets.command('delete <id>').description('Remove a budget.').action(deleteBudget);

const limits = program
  .command('limits')
  .description('One line a limit: id, organisation, name, subject, unit, amount, window in seconds.')
  .option('--tenant <tenant>', 'only this organisation')
  .action(showLimits);
limits
  .command('set <name>')
  .description('Make a limit, or give the one of that name another amount and window.')
  .requiredOption('--subject <subject>', 'what is limited, such as key:* or tool:search*')
  .requiredOption('--unit <unit>', `one of ${limitUnits.join(', ')}`)
  .requiredOption('--amount <amount>', 'how many in the window')
  .option('--per <window>', 'second, minute, hour or day')
  .option('--shared', 'all ids that fit the subject share it', false)
  .option('--tenant <tenant>', 'the organisation', 'default')
  .action(setLimit);
limits.command('delete <id>').description('Take a limit back.').action(deleteLimit);

const audit = program.command('audit').description('The log of who did what.');
audit
  .command('verify')
  .description(
    'Check the chains; name every entry that is not as it was entered. Ends with 1 when there is one.',
  )
  .option('--tenant <tenant>', 'only this organisation')
  .option('--from <moment>', 'entries from this date or moment on', parseMoment)
  .option('--to <moment>', 'entries before this date or moment', parseMoment)
  .option('--checkpoints <file>', 'checkpoints that were kept elsewhere, one token a line')
  .addOption(
    new Option('--file <file>', 'check an export of one organisation instead of the log').conflicts([
      'tenant',
      'from',
      'to',
    ]),
  )
  .action(verifyAudit);
audit
  .command('export')
  .description('Write the chain of an organisation as JSON lines.')
  .option('--tenant <tenant>', 'the organisation', 'default')
  .option('--from <moment>', 'entries from this date or moment on', parseMoment)
  .option('--to <moment>', 'entries before this date or moment', parseMoment)
  .option('--values', 'with the values that records hold as keyed hashes', false)
  .action(exportAudit);

// Whoever reads has seen enough: `strata audit export | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
