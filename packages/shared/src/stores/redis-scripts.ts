import { createHash } from 'node:crypto';
import { cleanupDelayMs } from './hot-rules.ts';

/**
 * One script a transition. Expiry is decided by the caller's clock, handed in as `now`, and stored beside the value; Redis's own expiry
 * only cleans up, a while later, so that the two clocks need not agree. KEYS of one script share a hash tag, so that they live on one node of a Cluster. Numbers stay below 2^53, which Lua
 * holds exactly; `%.0f` writes them without an exponent.
 */

export interface Script {
  readonly source: string;
  readonly sha1: string;
}

export function script(source: string): Script {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

/**
 * KEYS: lease, fence counter. ARGV: owner, now, ttl, how long the counter outlives the lease.
 * RETURNS the fence, or 0 when somebody else holds the lease.
 */
export const acquireLease = script(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until')
local now = tonumber(ARGV[2])
local live = held[1] and tonumber(held[3]) > now
if live and held[1] ~= ARGV[1] then return 0 end
local fence = live and tonumber(held[2])
if not fence then
  fence = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now)
end
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text, 'PX', string.format('%.0f', ARGV[3] + ARGV[4]))
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', text, 'until', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + ${cleanupDelayMs}))
return fence
`);

/** KEYS: lease, fence counter. ARGV: fence, owner, now, ttl, how long the counter outlives it. RETURNS 1, or 0 when the lease was lost. */
export const renewLease = script(`
local held = redis.call('HMGET', KEYS[1], 'fence', 'owner', 'until')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or tonumber(held[3]) <= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', string.format('%.0f', ARGV[4] + ARGV[5]))
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', ARGV[3] + ARGV[4]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[4] + ${cleanupDelayMs}))
return 1
`);

/** KEYS: lease. ARGV: fence, owner, now. RETURNS 1, or 0 when the lease was lost. */
export const releaseLease = script(`
local held = redis.call('HMGET', KEYS[1], 'fence', 'owner', 'until')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or tonumber(held[3]) <= tonumber(ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1])
return 1
`);

/**
 * KEYS: ring, and the lease if one is checked. ARGV: fence or '', event, max events, now, ttl.
 * The ring is a hash: 'first', 'last', 'until', and one field a sequence number. RETURNS the sequence number, or 0 when fenced.
 */
export const appendEvent = script(`
if ARGV[1] ~= '' then
  local held = redis.call('HMGET', KEYS[2], 'fence', 'until')
  if held[1] ~= ARGV[1] or tonumber(held[2]) <= tonumber(ARGV[4]) then return 0 end
end
local ring = redis.call('HMGET', KEYS[1], 'first', 'last', 'until')
if ring[3] and tonumber(ring[3]) <= tonumber(ARGV[4]) then
  redis.call('DEL', KEYS[1])
  ring = {false, false, false}
end
local first = tonumber(ring[1] or 1)
local seq = tonumber(ring[2] or 0) + 1
local keepFrom = math.max(first, seq - tonumber(ARGV[3]) + 1)
for old = first, keepFrom - 1 do redis.call('HDEL', KEYS[1], old) end
redis.call('HSET', KEYS[1], seq, ARGV[2], 'first', keepFrom, 'last', seq, 'until', string.format('%.0f', ARGV[4] + ARGV[5]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[5] + ${cleanupDelayMs}))
return seq
`);

/** KEYS: ring. ARGV: after, limit, now. RETURNS { oldest or 0, seq, event, seq, event, … }. */
export const readEvents = script(`
local ring = redis.call('HMGET', KEYS[1], 'first', 'last', 'until')
if not ring[2] or tonumber(ring[3]) <= tonumber(ARGV[3]) then return {0} end
local result = {tonumber(ring[1])}
local from = math.max(tonumber(ring[1]), tonumber(ARGV[1]) + 1)
local to = math.min(tonumber(ring[2]), from + tonumber(ARGV[2]) - 1)
for seq = from, to do
  result[#result + 1] = seq
  result[#result + 1] = redis.call('HGET', KEYS[1], seq)
end
return result
`);

/** KEYS: value. ARGV: value, now, ttl. The expiry by the caller's clock stands in front of the value. RETURNS 1. */
export const setValue = script(`
redis.call('SET', KEYS[1], string.format('%.0f', ARGV[2] + ARGV[3]) .. ':' .. ARGV[1], 'PX', string.format('%.0f', ARGV[3] + ${cleanupDelayMs}))
return 1
`);
