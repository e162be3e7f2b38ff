import { createHash } from 'node:crypto';

/**
 * One script a transition. Expiry is decided by the caller's clock, handed in as `now`, and stored beside the value; Redis's own expiry
 * only cleans up. KEYS of one script share a hash tag, so that they live on one node of a Cluster.
 */

export interface Script {
  readonly source: string;
  readonly sha1: string;
}

function script(source: string): Script {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

/**
 * KEYS: lease, fence counter. ARGV: owner, now, ttl, fence ttl.
 * RETURNS the fence, or 0 when somebody else holds the lease.
 */
export const acquireLease = script(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until')
local live = held[1] and tonumber(held[3]) > tonumber(ARGV[2])
if live and held[1] ~= ARGV[1] then return 0 end
local fence = held[2]
if not live then
  fence = redis.call('INCR', KEYS[2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence, 'until', tonumber(ARGV[2]) + tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return tonumber(fence)
`);

/** KEYS: lease. ARGV: owner, fence, now, ttl. RETURNS 1, or 0 when the lease was lost. */
export const renewLease = script(`
local held = redis.call('HMGET', KEYS[1], 'fence', 'owner', 'until')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[1] or tonumber(held[3]) <= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'until', tonumber(ARGV[3]) + tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`);

/** KEYS: lease. ARGV: owner, fence, now. RETURNS 1, or 0 when the lease was lost. */
export const releaseLease = script(`
local held = redis.call('HMGET', KEYS[1], 'fence', 'owner', 'until')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[1] or tonumber(held[3]) <= tonumber(ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1])
return 1
`);

/**
 * KEYS: ring, and the lease if one is checked. ARGV: event, max events, now, ttl, fence or ''.
 * The ring is a hash: 'last', 'until', and one field a sequence number. RETURNS the sequence number, or 0 when fenced.
 */
export const appendEvent = script(`
if ARGV[5] ~= '' then
  local held = redis.call('HMGET', KEYS[2], 'fence', 'until')
  if held[1] ~= ARGV[5] or tonumber(held[2]) <= tonumber(ARGV[3]) then return 0 end
end
local expires = redis.call('HGET', KEYS[1], 'until')
if expires and tonumber(expires) <= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
local seq = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HSET', KEYS[1], seq, ARGV[1], 'until', tonumber(ARGV[3]) + tonumber(ARGV[4]))
redis.call('HDEL', KEYS[1], seq - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return seq
`);

/** KEYS: ring. ARGV: after, limit, now. RETURNS { oldest, seq, event, seq, event, … }. */
export const readEvents = script(`
local meta = redis.call('HMGET', KEYS[1], 'last', 'until')
if not meta[1] or tonumber(meta[2]) <= tonumber(ARGV[3]) then return {0} end
local last = tonumber(meta[1])
local oldest = last - (redis.call('HLEN', KEYS[1]) - 2) + 1
local result = {oldest}
local from = math.max(oldest, tonumber(ARGV[1]) + 1)
local to = math.min(last, from + tonumber(ARGV[2]) - 1)
for seq = from, to do
  result[#result + 1] = seq
  result[#result + 1] = redis.call('HGET', KEYS[1], seq)
end
return result
`);

/** KEYS: value. ARGV: value, now, ttl. The expiry by the caller's clock stands in front of the value. RETURNS 1. */
export const setValue = script(`
redis.call('SET', KEYS[1], (tonumber(ARGV[2]) + tonumber(ARGV[3])) .. ':' .. ARGV[1], 'PX', ARGV[3])
return 1
`);
