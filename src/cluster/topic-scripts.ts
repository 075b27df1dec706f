/**
 * Topics in Redis: who owns each (HASH owners: topic → `server|fence`), what it brought (one STREAM a topic, whose entry ids
 * are the events' own), and what claims are told (HASH a topic: `status`, `fences`). All of a namespace in one slot.
 *
 * Keys have no time to live, so that `volatile-lru` evicts none; those of topics without an owner have one.
 */
import { redisScript } from './redis-script.js';

/** Fences of a topic that are remembered: an id under an older one is not known any more. */
const MAX_FENCES = 32;
/** What is kept of a topic without an owner. */
const ORPHAN_SECONDS = 600;

/**
 * KEYS: owners, servers by lease, last fence, stream, facts of the topic. ARGV: topic, server, owner that may be overruled
 * (`server|fence` or ''), whether it need not be dead ('1'), channel, the highest fence that the server has heard of.
 */
export const CLAIM = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local current = redis.call('HGET', KEYS[1], ARGV[1])
local fences = redis.call('HGET', KEYS[5], 'fences') or ''
if current then
  local holder = string.match(current, '^(.-)|')
  if holder ~= ARGV[2] then
    local lease = redis.call('ZSCORE', KEYS[2], holder)
    local alive = lease and tonumber(lease) >= now
    if current ~= ARGV[3] or (alive and ARGV[4] ~= '1') then
      return { 0, current, fences, redis.call('HGET', KEYS[5], 'status') or '' }
    end
  end
end
-- Redis' clock, and what the server knows, keep fences rising where Redis was emptied; its clock may have been set back as well.
local fence = string.format('%.0f', math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, ARGV[6] + 1, now))
redis.call('SET', KEYS[3], fence)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. fence)
local known = {}
for one in string.gmatch(fences, '%d+') do known[#known + 1] = one end
known[#known + 1] = fence
while #known > ${MAX_FENCES} do table.remove(known, 1) end
redis.call('HSET', KEYS[5], 'fences', table.concat(known, ' '))
redis.call('PERSIST', KEYS[4])
redis.call('PERSIST', KEYS[5])
redis.call('PUBLISH', ARGV[5], 'o' .. ARGV[2] .. '|' .. fence)
local top = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)
return { 1, ARGV[2] .. '|' .. fence, fences, top[1] and top[1][1] or '' }
`);

/** KEYS: owners, stream. ARGV: topic, owner, channel, entries to keep, then id and text of each publication. */
export const PUBLISH = redisScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
for at = 5, #ARGV, 2 do
  local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', ARGV[4], ARGV[at], 'm', ARGV[at + 1])
  if type(added) == 'string' then
    redis.call('PUBLISH', ARGV[3], 'm' .. ARGV[at + 1])
  -- Sent again after an answer that was lost.
  elseif not string.find(added.err, 'equal or smaller', 1, true) then
    return added
  end
end
return 1
`);

/** KEYS: owners, facts of the topic. ARGV: topic, owner, channel, text, whether it is the status ('1'). -1: fenced. */
export const TELL = redisScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
if ARGV[5] == '1' then redis.call('HSET', KEYS[2], 'status', ARGV[4]) end
return redis.call('PUBLISH', ARGV[3], 'm' .. ARGV[4])
`);

/** KEYS: owners, stream, facts of the topic. ARGV: topic, owner (`server|fence`, or `server|` for any fence of it), channel. */
export const RELEASE = redisScript(`
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held or (held ~= ARGV[2] and string.match(held, '^.-|') ~= ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], 'status')
redis.call('EXPIRE', KEYS[2], ${ORPHAN_SECONDS})
redis.call('EXPIRE', KEYS[3], ${ORPHAN_SECONDS})
redis.call('PUBLISH', ARGV[3], 'o')
return 1
`);

/**
 * Gives up all topics of a server that has just started, which died with an owner of its name: to the others it would seem
 * to hold them. KEYS: owners. ARGV: server, prefix of streams, of facts, of channels.
 */
export const DISOWN = redisScript(`
local owners = redis.call('HGETALL', KEYS[1])
local found = 0
for at = 1, #owners, 2 do
  local topic = owners[at]
  if string.match(owners[at + 1], '^(.-)|') == ARGV[1] then
    redis.call('HDEL', KEYS[1], topic)
    redis.call('HDEL', ARGV[3] .. topic, 'status')
    redis.call('EXPIRE', ARGV[2] .. topic, ${ORPHAN_SECONDS})
    redis.call('EXPIRE', ARGV[3] .. topic, ${ORPHAN_SECONDS})
    redis.call('PUBLISH', ARGV[4] .. topic, 'o')
    found = found + 1
  end
end
return found
`);

/**
 * Gives up topics whose owner is dead and that nobody took over. KEYS: owners, servers by lease. ARGV: cursor, prefix of
 * streams, prefix of facts. Answers the next cursor. The keys of a namespace are in one slot, also those that are made here.
 */
export const SWEEP = redisScript(`
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 200)
for at = 1, #found[2], 2 do
  local topic, holder = found[2][at], string.match(found[2][at + 1], '^(.-)|')
  if not redis.call('ZSCORE', KEYS[2], holder) then
    redis.call('HDEL', KEYS[1], topic)
    redis.call('EXPIRE', ARGV[2] .. topic, ${ORPHAN_SECONDS})
    redis.call('EXPIRE', ARGV[3] .. topic, ${ORPHAN_SECONDS})
  end
end
return found[1]
`);
