/**
 * The shared budget of one venue and egress, as Redis keeps it: one hash, changed by these scripts alone. All times in it
 * are Redis' own, in milliseconds. Fields:
 *   e  epoch: made with the hash, so that servers notice where it was lost
 *   n  changes so far: tells old news from new
 *   w  departures of the rolling window, [since, at, requests, polls, ...]; r: those out of the reserve for market lists
 *   p  when the venue's pace is out of debt (CCXT's leaky bucket)
 *   c  until when the venue cools down, with its status, reason and strikes; b: waits for the venue's next window
 *   k  bookings by id: [requests that have not left, until when, polls]
 *   f  by server: [requests that it may send without asking, as of when]
 * Nothing has a time to live: Redis may evict what has one.
 */
import { redisScript } from './redis-script.js';

/** Departures closer together than this part of the window share an entry, which bounds the hash. */
const ENTRIES_PER_WINDOW = 256;
/** What a server said of what it may send without asking holds for so long. */
const ALLOWANCE_TTL_MS = 3_000;
/** Redis' clock may be set back: no wait that it measures is longer than this. */
const MAX_COOL_DOWN_MS = 7 * 86_400_000;

/** KEYS: hash, servers, lowest limit of the egress. ARGV: server, limit, windowMs, and from 4 on what each script says. */
const COMMON = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local sid, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = redis.call('HMGET', KEYS[1], 'e', 'n', 'w', 'r', 'p', 'c', 'b', 'k', 'f')
local function parsed(text) if text then return cjson.decode(text) end return {} end
local epoch, n = fields[1], tonumber(fields[2] or '0')
local w, r, pace = parsed(fields[3]), parsed(fields[4]), tonumber(fields[5] or '0')
local cool, brake, bookings, allowances = parsed(fields[6]), parsed(fields[7]), parsed(fields[8]), parsed(fields[9])
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
local claimed, claimedPolls, unasked = 0, 0, 0
for _, booking in pairs(bookings) do
  claimed = claimed + booking[1]
  claimedPolls = claimedPolls + booking[3]
end
for server, allowance in pairs(allowances) do
  if now - allowance[2] > ${ALLOWANCE_TTL_MS} then allowances[server] = nil
  elseif server ~= sid then unasked = unasked + allowance[1] end
end
local function object(value) if next(value) then return cjson.encode(value) end return '{}' end
local function list(value) if #value > 0 then return cjson.encode(value) end return '[]' end
local function save()
  n = n + 1
  redis.call('HSET', KEYS[1], 'n', n, 'w', list(w), 'r', list(r), 'p', string.format('%.3f', pace),
    'c', list(cool), 'b', list(brake), 'k', object(bookings), 'f', object(allowances))
end
local function answer(word, wait)
  local servers = redis.call('ZCOUNT', KEYS[2], now, '+inf')
  return { word, string.format('%.3f', wait or 0), string.format('%.3f', now), n, limit, math.max(1, servers),
    string.format('%.3f', pace - now), list(w), list(r), list(cool), list(brake), epoch or '' }
end
local function cooling() return cool[1] and cool[1] > now end
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

/** ARGV 4: epoch, 5: channel, 6: reserve limit where it leaves out of the reserve, 7: poll limit, 8: is a poll, 9: weight, 10: ms a weight, 11: booking. */
export const TAKE = redisScript(`${COMMON}${SLOT}
if epoch ~= ARGV[4] then return answer('epoch') end
if cooling() then return answer('wait') end
local reserve, pollLimit, poll = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local weight, unit, booking = tonumber(ARGV[9]), tonumber(ARGV[10]), bookings[ARGV[11]]
local wait = 0
if reserve > 0 then
  if sum(r, 3) >= reserve then wait = slot(r, 1, reserve, 3) end
else
  local ahead = 0
  if not booking then ahead = claimed end
  wait = slot(w, 1 + ahead + unasked, limit, 3)
  if pollLimit > 0 then
    local aheadPolls = 0
    if not booking then aheadPolls = claimedPolls end
    wait = math.max(wait, slot(w, 1 + aheadPolls, pollLimit, 4))
  end
end
if unit > 0 then
  pace = math.max(pace, now - unit)
  wait = math.max(wait, pace - now)
end
if wait > 0 then return answer('wait', math.min(math.max(wait, 1), 1000)) end
if unit > 0 then pace = pace + weight * unit end
if reserve > 0 then add(r, now, 1, 0) else add(w, now, 1, poll) end
if booking then
  booking[1] = booking[1] - 1
  if booking[3] > 0 then booking[3] = booking[3] - 1 end
  if booking[1] <= 0 then bookings[ARGV[11]] = nil end
end
save()
redis.call('PUBLISH', ARGV[5], cjson.encode({ 'left', sid, n, poll, reserve > 0 and 1 or 0 }))
return answer('granted')
`);

/** ARGV 4: epoch, 5: booking, 6: requests, 7: within ms, 8: poll limit, 9: are polls. */
export const BOOK = redisScript(`${COMMON}${SLOT}
if epoch ~= ARGV[4] then return answer('epoch') end
if cooling() then return answer('wait') end
local requests, within, pollLimit, polls = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local wait = slot(w, requests + claimed + unasked, limit, 3)
if pollLimit > 0 then wait = math.max(wait, slot(w, requests + claimedPolls, pollLimit, 4)) end
if wait > within and wait > 0 then return answer('wait', wait) end
bookings[ARGV[5]] = { requests, now + math.max(within, 0), polls * requests }
save()
return answer('granted')
`);

/** ARGV 4: booking. */
export const UNBOOK = redisScript(`${COMMON}
if bookings[ARGV[4]] then
  bookings[ARGV[4]] = nil
  save()
end
return 1
`);

/** ARGV 4: channel, 5: cool-down ms, 6: status, 7: reason, 8: strikes, 9 and 10: waits of callers and polls, ms. The longest holds. */
export const REPORT = redisScript(`${COMMON}
if not epoch then return 0 end
local ms = tonumber(ARGV[5])
if ms > 0 and now + ms > (cool[1] or 0) then
  cool = { now + ms, tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]) }
end
brake = { math.max(brake[1] or 0, now + tonumber(ARGV[9])), math.max(brake[2] or 0, now + tonumber(ARGV[10])) }
save()
redis.call('PUBLISH', ARGV[4], cjson.encode({ 'restraint', sid, ms, tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]),
  tonumber(ARGV[9]), tonumber(ARGV[10]) }))
return 1
`);

/**
 * Meets the shared count: begins it where there is none, with all that this server knows, and adds what this server sent
 * on its own meanwhile. ARGV 4: a new epoch, 5 and 6: what is known of the window and of the reserve, 7 and 8: what was
 * sent unasked, 9: what may still be sent unasked (0: it asks from now on), 10: cool-down as [ms, status, reason, strikes].
 */
export const MEET = redisScript(`${COMMON}
if not epoch then
  epoch = ARGV[4]
  redis.call('HSET', KEYS[1], 'e', epoch)
  w, r = merge(w, cjson.decode(ARGV[5])), merge(r, cjson.decode(ARGV[6]))
  local known = cjson.decode(ARGV[10])
  if known[1] > 0 then cool = { now + known[1], known[2], known[3], known[4] } end
else
  w, r = merge(w, cjson.decode(ARGV[7])), merge(r, cjson.decode(ARGV[8]))
end
local allowance = tonumber(ARGV[9])
if allowance > 0 then allowances[sid] = { allowance, now } else allowances[sid] = nil end
save()
return answer('met')
`);
