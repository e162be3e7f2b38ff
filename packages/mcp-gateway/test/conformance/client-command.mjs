// What the suite starts as the client: it hands the scenario to the host that runs the tests, and ends when that is done with it.
const { toolCalls } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const response = await fetch(process.argv[2], {
  method: 'POST',
  body: JSON.stringify({ url: process.argv.at(-1), toolCalls }),
});
if (!response.ok) process.stderr.write(await response.text());
process.exit(response.ok ? 0 : 1);
