/**
 * The shared budget of one venue and egress, as Redis keeps it: one hash, changed by these scripts alone. All times in it
 * are Redis' own, in milliseconds. Fields:
 *   e  epoch: made with the hash, so that servers notice where it was lost
 *   n  changes so far: orders messages
 *   w  departures of the rolling window, [since, at, requests, polls, ...]; r: those out of the reserve for market lists
 *   p  when the venue's pace is out of debt (CCXT's leaky bucket)
 *   c  until when the venue cools down, with its status, reason and refusals; b: waits for the venue's next window
 *   k  bookings by id: [requests that have not left, until when, polls]
 * Beside it a hash of the servers that use the venue: each one's last heartbeat and the number of servers that it counts
 * itself among, as "<ms> <servers>". A server whose heartbeat has lapsed may send its share without asking.
 * Nothing has a time to live: Redis may evict what has one.
 */
import type { BudgetTimes } from './budget-times.js';
import { redisScript, type RedisScript } from './redis-script.js';

/** Departures closer together than this part of the window share an entry, which bounds the hash. */
const ENTRIES_PER_WINDOW = 256;
/** A server without a heartbeat for so long is taken for dead: its share is the others' again. */
const FORGET_LAPSED_MS = 60_000;
/** Redis' clock may be set back: no wait that it measures is longer than this. */
const MAX_COOL_DOWN_MS = 7 * 86_400_000;

type ScriptTimes = Pick<BudgetTimes, 'lapseMs' | 'lateMs'>;

/**
 * KEYS: hash, servers, lowest limit of the egress, hash of heartbeats. ARGV: server, limit, windowMs, when it was sent
 * (0: not known), and from 5 on what each script names.
 */
const common = ({ lapseMs, lateMs }: ScriptTimes): string => `
local lapse, mostLate = ${lapseMs}, ${lateMs}
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local sid, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = redis.call('HMGET', KEYS[1], 'e', 'n', 'w', 'r', 'p', 'c', 'b', 'k')
local function parsed(text) if text then return cjson.decode(text) end return {} end
local epoch, n = fields[1], tonumber(fields[2] or '0')
local w, r, pace = parsed(fields[3]), parsed(fields[4]), tonumber(fields[5] or '0')
local cool, nearLimit, bookings = parsed(fields[6]), parsed(fields[7]), parsed(fields[8])
local lowest = tonumber(redis.call('GET', KEYS[3]) or limit)
if lowest < limit then limit = lowest end
local function forget(entries)
  local left = {}
  for i = 1, #entries, 4 do
    if entries[i + 1] + window > now then
      left[#left + 1] = math.min(entries[i], now)
      left[#left + 1] = math.min(entries[i + 1], now)
      left[#left + 1] = entries[i + 2]
      left[#left + 1] = entries[i + 3]
    end
  end
  return left
end
local function sum(entries, field)
  local total = 0
  for i = field, #entries, 4 do total = total + entries[i] end
  return total
end
local function add(entries, at, requests, polls)
  local last = #entries - 3
  if last < 1 or at - entries[last] >= window / ${ENTRIES_PER_WINDOW} then
    last = #entries + 1
    entries[last], entries[last + 1], entries[last + 2], entries[last + 3] = at, at, 0, 0
  end
  if at > entries[last + 1] then entries[last + 1] = at end
  entries[last + 2] = entries[last + 2] + requests
  entries[last + 3] = entries[last + 3] + polls
end
local function merge(entries, ages)
  for i = 1, #ages, 3 do
    entries[#entries + 1], entries[#entries + 2] = now - ages[i], now - ages[i]
    entries[#entries + 1], entries[#entries + 2] = ages[i + 1], ages[i + 2]
  end
  local order = {}
  for i = 1, #entries, 4 do order[#order + 1] = i end
  table.sort(order, function(a, b) return entries[a + 1] < entries[b + 1] end)
  local sorted = {}
  for _, i in ipairs(order) do
    for j = 0, 3 do sorted[#sorted + 1] = entries[i + j] end
  end
  -- Entries that are close together become one: it leaves the window with the latest of them.
  local merged = {}
  for i = 1, #sorted, 4 do
    local last = #merged - 3
    if last >= 1 and sorted[i + 1] - merged[last] < window / ${ENTRIES_PER_WINDOW} then
      merged[last + 1] = sorted[i + 1]
      merged[last + 2] = merged[last + 2] + sorted[i + 2]
      merged[last + 3] = merged[last + 3] + sorted[i + 3]
    else
      for j = 0, 3 do merged[#merged + 1] = sorted[i + j] end
    end
  end
  return merged
end
w, r = forget(w), forget(r)
pace = math.min(pace, now + window)
if cool[1] then cool[1] = math.min(cool[1], now + ${MAX_COOL_DOWN_MS}) end
for id, booking in pairs(bookings) do
  if booking[2] < now or booking[1] <= 0 then bookings[id] = nil end
end
local booked, bookedPolls = 0, 0
for _, booking in pairs(bookings) do
  booked = booked + booking[1]
  bookedPolls = bookedPolls + booking[3]
end
local lapsed, share = 0, 0
local heartbeats = redis.call('HGETALL', KEYS[4])
for i = 1, #heartbeats, 2 do
  local at, among = string.match(heartbeats[i + 1], '^(%S+) (%S+)$')
  at = tonumber(at)
  -- After the clock was set back: else a server that cannot ask would not count as lapsed, and its share be withheld, for as long.
  if at - now > lapse then
    at = now
    redis.call('HSET', KEYS[4], heartbeats[i], string.format('%.3f %s', now, among))
  end
  if heartbeats[i] ~= sid and now - at > lapse then
    if now - at > ${FORGET_LAPSED_MS} then redis.call('HDEL', KEYS[4], heartbeats[i])
    else lapsed, share = lapsed + 1, share + 1 / among end
  end
end
-- A lapsed server that does not know this one would take all: this one keeps a share at least.
share = math.min(share, lapsed / (lapsed + 1))
local withheld = math.ceil(limit * share)
local function object(value) if next(value) then return cjson.encode(value) end return '{}' end
local function list(value) if #value > 0 then return cjson.encode(value) end return '[]' end
local function save()
  n = n + 1
  redis.call('HSET', KEYS[1], 'n', n, 'w', list(w), 'r', list(r), 'p', string.format('%.3f', pace),
    'c', list(cool), 'b', list(nearLimit), 'k', object(bookings))
end
local function answer(outcome, wait)
  local servers = redis.call('ZCOUNT', KEYS[2], now, '+inf')
  return { outcome, string.format('%.3f', wait or 0), string.format('%.3f', now), n, limit, math.max(1, servers),
    string.format('%.3f', pace - now), list(w), list(r), list(cool), list(nearLimit), epoch or '' }
end
local function cooling() return cool[1] and cool[1] > now end
-- A command that was delayed is not carried out: nobody waits for its answer any more.
local function late() return tonumber(ARGV[4]) > 0 and now - ARGV[4] > mostLate end
`;

/** How long until the n-th further request may leave, by the entries of the window. */
const SLOT = `
local function slot(entries, position, most, field)
  local laps = math.floor((position - 1) / most)
  local over = sum(entries, field) + (position - laps * most) - most
  local at = now
  for i = 1, #entries, 4 do
    if over <= 0 then break end
    over = over - entries[i + field - 1]
    if entries[i + field - 1] > 0 then at = entries[i + 1] + window end
  end
  return at - now + laps * window
end
`;

/**
 * ARGV 5: epoch, 6: channel, 7: reserve limit where it may leave out of the reserve, 8: poll limit, 9: is a poll, 10: weight,
 * 11: ms a weight, 12: weights that a pause saves up, 13: booking.
 */
const TAKE = `
if late() then return answer('late') end
if epoch ~= ARGV[5] then return answer('epoch') end
if cooling() then return answer('wait') end
local reserve, pollLimit, poll = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local weight, unit, booking = tonumber(ARGV[10]), tonumber(ARGV[11]), bookings[ARGV[13]]
local wait, ours = 0, math.max(1, reserve - math.floor(reserve * share))
-- Where other servers have used up the reserve, a market list takes a slot of the budget.
local fromReserve = reserve > 0 and sum(r, 3) < ours
if not fromReserve then
  local ahead = 0
  if not booking then ahead = booked end
  wait = slot(w, 1 + ahead + withheld, limit, 3)
  if pollLimit > 0 then
    local aheadPolls = 0
    if not booking then aheadPolls = bookedPolls end
    wait = math.max(wait, slot(w, 1 + aheadPolls, pollLimit, 4))
  end
  if wait > 0 and reserve > 0 then
    local reserveWait = slot(r, 1, ours, 3)
    if reserveWait < wait then wait, fromReserve = reserveWait, true end
  end
end
if unit > 0 then
  pace = math.max(pace, now - unit * tonumber(ARGV[12]))
  wait = math.max(wait, pace - now)
end
if wait > 0 then return answer('wait', math.min(math.max(wait, 1), 1000)) end
if unit > 0 then pace = pace + weight * unit end
if fromReserve then add(r, now, 1, 0) else add(w, now, 1, poll) end
if booking then
  booking[1] = booking[1] - 1
  if booking[3] > 0 then booking[3] = booking[3] - 1 end
  if booking[1] <= 0 then bookings[ARGV[13]] = nil end
end
save()
redis.call('PUBLISH', ARGV[6], cjson.encode({ 'left', sid, n, poll, fromReserve and 1 or 0 }))
return answer('granted')
`;

/** ARGV 5: epoch, 6: booking, 7: requests, 8: within ms, 9: poll limit, 10: are polls. */
const BOOK = `
if late() then return answer('late') end
if epoch ~= ARGV[5] then return answer('epoch') end
if cooling() then return answer('wait') end
local requests, within, pollLimit, polls = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local wait = slot(w, requests + booked + withheld, limit, 3)
if pollLimit > 0 then wait = math.max(wait, slot(w, requests + bookedPolls, pollLimit, 4)) end
if wait > within and wait > 0 then return answer('wait', wait) end
bookings[ARGV[6]] = { requests, now + math.max(within, 0), polls * requests }
save()
return answer('granted')
`;

/** ARGV 5: booking. */
const UNBOOK = `
if bookings[ARGV[5]] then
  bookings[ARGV[5]] = nil
  save()
end
return 1
`;

/** ARGV 5: channel, 6: cool-down ms, 7: status, 8: reason, 9: refusals, 10 and 11: waits of callers and polls, ms. The longest holds. */
const REPORT = `
if not epoch then return 0 end
local ms = tonumber(ARGV[6])
if ms > 0 and now + ms > (cool[1] or 0) then
  cool = { now + ms, tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]) }
end
nearLimit = { math.max(nearLimit[1] or 0, now + tonumber(ARGV[10])), math.max(nearLimit[2] or 0, now + tonumber(ARGV[11])) }
save()
redis.call('PUBLISH', ARGV[5], cjson.encode({ 'restraint', sid, ms, tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]),
  tonumber(ARGV[10]), tonumber(ARGV[11]) }))
return 1
`;

/**
 * Synchronizes with the shared count: begins it where there is none, with this server's own state, and adds what this
 * server sent without asking. ARGV 5: a new epoch, 6 and 7: its own entries of the window and of the reserve, 8 and 9:
 * those sent without asking, 10: cool-down as [ms, status, reason, refusals], 11: the number of servers of which it sends
 * one share from now on without asking; 0: it asks, 12: whether Redis' clock was set ahead ('1'): entries that it forgot
 * too early are in the server's own.
 */
const SYNC = `
local function restored(entries, ages)
  local own = merge({}, ages)
  if sum(own, 3) > sum(entries, 3) then return own end
  return entries
end
local function coolAsOwn()
  local own = cjson.decode(ARGV[10])
  if own[1] > 0 and now + own[1] > (cool[1] or 0) then cool = { now + own[1], own[2], own[3], own[4] } end
end
if not epoch then
  epoch = ARGV[5]
  redis.call('HSET', KEYS[1], 'e', epoch)
  w, r = merge(w, cjson.decode(ARGV[6])), merge(r, cjson.decode(ARGV[7]))
  coolAsOwn()
  pace = now
else
  if ARGV[12] == '1' then
    w, r = restored(w, cjson.decode(ARGV[6])), restored(r, cjson.decode(ARGV[7]))
    coolAsOwn()
  end
  local sent, sentOfReserve = cjson.decode(ARGV[8]), cjson.decode(ARGV[9])
  w, r = merge(w, sent), merge(r, sentOfReserve)
  -- It is not known at which pace: nothing is saved up then.
  if #sent + #sentOfReserve > 0 then pace = math.max(pace, now) end
end
local among = tonumber(ARGV[11])
if among > 0 then redis.call('HSET', KEYS[4], sid, string.format('%.3f %d', now - lapse - 1, among)) end
save()
return answer('synced')
`;

/** Scripts over the shared count. */
export interface BudgetScripts {
  readonly take: RedisScript;
  readonly book: RedisScript;
  readonly unbook: RedisScript;
  readonly report: RedisScript;
  readonly sync: RedisScript;
}

export const createBudgetScripts = (times: ScriptTimes): BudgetScripts => {
  const begin = common(times);
  return {
    take: redisScript(begin + SLOT + TAKE),
    book: redisScript(begin + SLOT + BOOK),
    unbook: redisScript(begin + UNBOOK),
    report: redisScript(begin + REPORT),
    sync: redisScript(begin + SYNC),
  };
};

/**
 * A server's heartbeat: it asks before it sends. KEYS: servers, then for each of its venues the hash of heartbeats. ARGV:
 * server, when it was sent by Redis' clock (estimated), servers that it knows of. Answers Redis' time and the number of
 * servers that are alive.
 */
export const HEARTBEAT = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local beat = string.format('%.3f %d', math.min(now, tonumber(ARGV[2])), tonumber(ARGV[3]))
for i = 2, #KEYS do redis.call('HSET', KEYS[i], ARGV[1], beat) end
return { string.format('%.3f', now), math.max(1, redis.call('ZCOUNT', KEYS[1], now, '+inf')) }
`);
