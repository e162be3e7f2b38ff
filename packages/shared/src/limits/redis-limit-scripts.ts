import { cleanupDelayMs } from '../stores/hot-rules.ts';
import { script } from '../stores/redis-scripts.ts';

/**
 * Each script begins with what all replicas share: the epoch, which another one says that Redis has forgotten what it had counted, and the time in
 * microseconds. It is that of Redis, so that all count by one clock; where that one was set back, or another server with a slower one took
 * over, time goes on from where it was, by how much the clock is behind.
 *
 * KEYS: group, replicas. ARGV: now (us), or '' for the time of Redis; a fresh epoch.
 */
const groupAndTime = `
local function text(number) return string.format('%.0f', number) end
local group = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'behind')
local epoch, last, behind = group[1] or ARGV[2], tonumber(group[2] or '0'), tonumber(group[3] or '0')
local time = redis.call('TIME')
local now = (tonumber(ARGV[1]) or time[1] * 1000000 + time[2]) + behind
if now < last then
  behind = behind + last - now
  now = last
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'last', text(now), 'behind', text(behind))
local function replicas()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
  return text(redis.call('ZCARD', KEYS[2]))
end
local function expire(key, untilUs)
  redis.call('PEXPIRE', key, text(math.ceil((untilUs - now) / 1000) + ${cleanupDelayMs}))
end
`;

/**
 * All limits of a request in one step. Rates are strings with the TAT in microseconds, concurrency is a sorted set of leases by their end.
 * All keys share one hash tag. Times are whole numbers below 2^53, which Lua holds exactly.
 *
 * KEYS: as above, then one for each change, then one for each check. ARGV: as above; lease id, how long it holds (us), number of changes; for
 * each change `r`, delta or `l`, lease id; for each check `r`, increment, burst or `c`, limit, 0.
 * RETURNS { epoch, how many replicas live, index of the check that refuses or 0, wait (us), state of each check… }; numbers as text. The state of a
 * rate is in how many microseconds it is full again.
 */
export const admitScript = script(`
${groupAndTime}
local leaseId, leaseUntil, changes = ARGV[3], now + tonumber(ARGV[4]), tonumber(ARGV[5])
local function tatOf(key) return math.max(tonumber(redis.call('GET', key) or '0'), now) end
local function keep(key, tat)
  redis.call('SET', key, text(tat))
  expire(key, tat)
end
for index = 1, changes do
  local key, kind, value = KEYS[2 + index], ARGV[4 + 2 * index], ARGV[5 + 2 * index]
  if kind == 'l' then redis.call('ZREM', key, value)
  else
    local tat = tatOf(key) + tonumber(value)
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
    states[index] = tatOf(key) - now
    nexts[index] = states[index] + first
    wait = math.max(0, nexts[index] - second)
  else
    redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
    states[index] = redis.call('ZCARD', key)
    nexts[index] = states[index]
    if not redis.call('ZSCORE', key, leaseId) then nexts[index] = nexts[index] + 1 end
    if nexts[index] > first then wait = 1000000 end
  end
  if wait > longest then refused, longest = index, wait end
end
local result = {epoch, replicas(), tostring(refused), text(longest)}
for index = 1, checks do
  if refused == 0 then
    local key = KEYS[2 + changes + index]
    if ARGV[base + 3 * index - 2] == 'r' then keep(key, now + nexts[index])
    else
      redis.call('ZADD', key, text(leaseUntil), leaseId)
      expire(key, leaseUntil)
    end
  end
  result[4 + index] = text(refused == 0 and nexts[index] or states[index])
end
return result
`);

/** KEYS: as above, then one for each place. ARGV: as above; for how long (us), replica, lease id for each place. RETURNS how many replicas live, as text. */
export const renewScript = script(`
${groupAndTime}
local leaseUntil = now + tonumber(ARGV[3])
for index = 3, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', text(now))
  redis.call('ZADD', KEYS[index], 'XX', text(leaseUntil), ARGV[2 + index])
  expire(KEYS[index], leaseUntil)
end
redis.call('ZADD', KEYS[2], text(leaseUntil), ARGV[4])
return replicas()
`);
