import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

/** The libraries of the clouds are large: a gateway that none of its providers needs them for never loads them. */

const run = promisify(execFile);
const script = join(import.meta.dirname, 'support/loaded-libraries.ts');

const clouds = ['@aws-sdk/', '@smithy/signature-v4', 'google-auth-library', '@azure/identity'];
const key = { api_key: 'sk-provider', allow_private: true };

/** Which of them a gateway process has loaded after it has begun to serve and made one request to each provider. */
async function loadedWith(providers: object): Promise<string[]> {
  const models = Object.fromEntries(
    Object.keys(providers).map(name => [name, { targets: [{ provider: name, model: 'm' }] }]),
  );
  const attempts = { max_rounds: 1 };
  const section = JSON.stringify({ providers, models, attempts });
  const { stdout } = await run(process.execPath, ['--conditions', 'development', script, section], {
    env: { ...process.env, AWS_EC2_METADATA_DISABLED: 'true', GOOGLE_APPLICATION_CREDENTIALS: '/dev/null' },
  });
  const files = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as string[];
  return clouds.filter(library => files.some(file => file.includes(`node_modules/${library}`)));
}

describe('credentials and signing', () => {
  test('are not loaded without a provider that needs them', async () => {
    const loaded = await loadedWith({
      openai: { type: 'openai-compatible', base_url: 'http://127.0.0.1:9/v1', ...key },
      anthropic: { type: 'anthropic', base_url: 'http://127.0.0.1:9', ...key },
      gemini: { type: 'gemini', base_url: 'http://127.0.0.1:9', ...key },
      // A cloud that is asked with a key of its own needs no library either.
      azure: { type: 'azure-openai', base_url: 'http://127.0.0.1:9', ...key },
      bedrock: { type: 'bedrock', region: 'us-east-1', base_url: 'http://127.0.0.1:9', ...key },
    });
    expect(loaded).toEqual([]);
  });

  test('are loaded where one does, so that this is seen at all', async () => {
    const signed = { access_key: { access_key_id: 'a', secret_access_key: 'b' } };
    const bedrock = {
      type: 'bedrock',
      region: 'us-east-1',
      base_url: 'http://127.0.0.1:9',
      allow_private: true,
    };
    expect(await loadedWith({ bedrock: { ...bedrock, ...signed } })).toContain('@smithy/signature-v4');
  });
});
