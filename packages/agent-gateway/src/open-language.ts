import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createCompileTrigger } from './compile-trigger.ts';
import type { AgentGatewayConfig } from './config.ts';
import { createDataSchemas } from './dsl/data-schemas.ts';
import { createDefinitions } from './dsl/definitions.ts';
import { createGrammar } from './dsl/grammar.ts';
import { createJqExpressions } from './expressions/jq-expressions.ts';
import { taskTypes } from './tasks/registry.ts';

export type Language = ReturnType<typeof openLanguage>;

/** What reads definitions and evaluates what stands in them, with the threads it needs. */
export function openLanguage(config: ConfigSource<AgentGatewayConfig>, { clock }: GatewayDeps) {
  const { threads, timeout_ms, memory_bytes, output_bytes, queue } = config.current.expressions;
  const expressions = createJqExpressions({
    clock,
    threads,
    timeoutMs: timeout_ms,
    maxMemoryBytes: memory_bytes,
    maxOutputBytes: output_bytes,
    maxQueue: queue,
  });
  const grammar = createGrammar(clock);
  const schemas = createDataSchemas(clock);
  const compileTrigger = createCompileTrigger(expressions);
  const definitions = createDefinitions({
    maxLength: () => config.current.stored.definition_bytes,
    types: taskTypes,
    expressions,
    grammar,
    schemas,
    checkTrigger: compileTrigger,
  });
  return {
    expressions,
    schemas,
    compileTrigger,
    definitions,
    async close() {
      await expressions.close();
      await grammar.close();
      await schemas.close();
    },
  };
}
