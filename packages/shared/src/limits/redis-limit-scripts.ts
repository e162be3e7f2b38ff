import { cleanupDelayMs } from '../stores/hot-rules.ts';
import { script } from '../stores/redis-scripts.ts';

/**
 * All limits of a request in one step. Rates are strings with the TAT in microseconds, concurrency is a sorted set of leases by their end.
 * All keys share one hash tag. Times are whole numbers below 2^53, which Lua holds exactly.
 *
 * KEYS: epoch, replicas, then one for each change, then one for each check. ARGV: now (us), lease id, lease until (ms), number of changes, a fresh
 * epoch; for each change `r`, delta or `l`, lease id; for each check `r`, increment, burst or `c`, limit, 0.
 * RETURNS { epoch, how many replicas live, index of the check that refuses or 0, wait (us), state of each check… }; numbers as text.
 */
export const admitScript = script(`
local now = tonumber(ARGV[1])
local nowMs = now / 1000
local changes = tonumber(ARGV[4])
redis.call('SET', KEYS[1], ARGV[5], 'NX')
local epoch = redis.call('GET', KEYS[1])
local function text(number) return string.format('%.0f', number) end
local function keep(key, tat)
  redis.call('SET', key, text(tat), 'PX', text(math.ceil((tat - now) / 1000) + ${cleanupDelayMs}))
end
for index = 1, changes do
  local key, kind, value = KEYS[2 + index], ARGV[4 + 2 * index], ARGV[5 + 2 * index]
  if kind == 'l' then redis.call('ZREM', key, value)
  else
    local tat = math.max(tonumber(redis.call('GET', key) or '0'), now) + tonumber(value)
    if tat > now then keep(key, tat) else redis.call('DEL', key) end
  end
end
local base = 5 + 2 * changes
local refused, longest, states, nexts = 0, 0, {}, {}
local checks = #KEYS - 2 - changes
for index = 1, checks do
  local key = KEYS[2 + changes + index]
  local kind, first, second = ARGV[base + 3 * index - 2], tonumber(ARGV[base + 3 * index - 1]), tonumber(ARGV[base + 3 * index])
  local wait = 0
  if kind == 'r' then
    states[index] = math.max(tonumber(redis.call('GET', key) or '0'), now)
    nexts[index] = states[index] + first
    wait = math.max(0, nexts[index] - second - now)
  else
    redis.call('ZREMRANGEBYSCORE', key, '-inf', text(nowMs))
    states[index] = redis.call('ZCARD', key)
    nexts[index] = states[index]
    if not redis.call('ZSCORE', key, ARGV[2]) then nexts[index] = nexts[index] + 1 end
    if nexts[index] > first then wait = 1000000 end
  end
  if wait > longest then refused, longest = index, wait end
end
local result = {epoch, text(redis.call('ZCOUNT', KEYS[2], '(' .. text(nowMs), '+inf')), tostring(refused), text(longest)}
for index = 1, checks do
  if refused == 0 then
    local key = KEYS[2 + changes + index]
    if ARGV[base + 3 * index - 2] == 'r' then keep(key, nexts[index])
    else
      redis.call('ZADD', key, ARGV[3], ARGV[2])
      redis.call('PEXPIRE', key, text(tonumber(ARGV[3]) - nowMs + ${cleanupDelayMs}))
    end
  end
  result[4 + index] = text(refused == 0 and nexts[index] or states[index])
end
return result
`);

/** KEYS: replicas, then one for each place. ARGV: now (ms), until (ms), replica, lease id for each place. RETURNS how many replicas live. */
export const renewScript = script(`
for index = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', ARGV[1])
  redis.call('ZADD', KEYS[index], 'XX', ARGV[2], ARGV[2 + index])
  redis.call('PEXPIRE', KEYS[index], string.format('%.0f', ARGV[2] - ARGV[1] + ${cleanupDelayMs}))
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
return redis.call('ZCARD', KEYS[1])
`);
