import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatTraceparent, parentOf } from '@strata/shared/http/trace-context.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import { contextUnder, type Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import type { CallContext, CallStage } from './call-context.ts';

/** A span for each call (OpenTelemetry semantic conventions for MCP); the server continues the trace from `_meta`. */
export function traceCall(telemetry: Telemetry): CallStage {
  return async (context, next) => {
    const { frame, exposedName, trace } = context;
    const name = exposedName === undefined ? frame.method : `${frame.method} ${exposedName}`;
    const span = telemetry.tracer.startSpan(
      name,
      { kind: SpanKind.SERVER, attributes: attributesOf(context) },
      parentOf(trace),
    );
    context.traceparent = formatTraceparent(contextUnder(span, trace));
    try {
      const answer = await next();
      if (answer.error) span.setStatus({ code: SpanStatusCode.ERROR });
      return answer;
    } catch (error) {
      const reason = error instanceof GatewayError ? error.reason : 'cancelled';
      span.setAttribute(attributes.errorType, reason);
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  };
}

function attributesOf({ caller, client, frame, upstream, exposedName }: CallContext): Record<string, string> {
  const isTool = frame.method === 'tools/call';
  const { runId } = caller.envelope ?? {};
  return {
    [attributes.mcpMethod]: frame.method,
    [attributes.mcpSession]: client.tag,
    [attributes.mcpProtocolVersion]: client.hello.protocolVersion,
    'network.transport': upstream.transport,
    'strata.mcp.server': upstream.name,
    [attributes.tenant]: caller.tenant,
    [attributes.principal]: caller.principal,
    ...(caller.keyId !== undefined && { [attributes.keyId]: caller.keyId }),
    ...(runId !== undefined && { [attributes.runId]: runId }),
    ...(isTool && { [attributes.operationName]: 'execute_tool' }),
    ...(isTool && exposedName !== undefined && { [attributes.toolName]: exposedName }),
  };
}
