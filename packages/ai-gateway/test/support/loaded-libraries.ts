import { registerHooks } from 'node:module';

/**
 * A process of its own: starts a gateway with the section that it is given, asks each of its models once, and prints on its last line the address of
 * every module that was loaded until then.
 */
const loaded: string[] = [];
registerHooks({
  load(url, context, next) {
    loaded.push(url);
    return next(url, context);
  },
});
const { post, startGateway } = await import('../harness.ts');
const section = JSON.parse(process.argv[2] ?? '') as { models: Record<string, unknown> };
const gateway = await startGateway({ section });
for (const model of Object.keys(section.models))
  await post(gateway, '/v1/chat/completions', { model, messages: [{ role: 'user', content: 'x' }] });
await gateway.close();
console.info(JSON.stringify(loaded));
