-- Remembers how a job ended: see the tables of worker.Locker. It returns what it did, first
-- where no other delivery can have ended the job, or the record of one that has.
local lockKey, jobKey, waitingKey, lastKey, coolKey = unpack(KEYS)
-- holder is how the token's lock begins, empty without a token; open is the token's
-- record; flags has a k when the lock stays, and an a when nobody shares a late result.
-- cooldown and reason are empty without a cool-down. sole is for a job without a token: see
-- take.lua. What would be empty is left out at the end.
local holder, open, done, flags, cooldown, reason, sole = unpack(ARGV)
local call = redis.call

local record, lock = call('GET', jobKey), call('GET', lockKey)
local ours = lock and holder ~= '' and string.sub(lock, 1, #holder) == holder

-- The straight path: the confirmation was ours, and nobody waits for it.
if record == open and ours and not flags and call('EXISTS', waitingKey) == 0 then
  call('SET', jobKey, done, 'PX', keep)
  call('DEL', lockKey)
  return 'first'
end
flags = flags or ''
local function flagged(flag) return string.find(flags, flag, 1, true) end
local function split(record) return string.match(record, '^(%a+):(%-?%d+):(.*)$') end
local _, _, token = split(open)
local first

if record == '1' then
  return 'ended'
elseif record then
  local kind, at, rest = split(record)
  if kind == 'done' then
    return record
  elseif kind == 'open' and rest ~= token then
    return 'superseded'
  end
  first = kind == 'open' or kind == 'waits' and sole and tonumber(at) < tonumber(sole)
end
call('SET', jobKey, done, 'PX', keep)
if token == '' then
  return first and 'first' or 'stored'
end
if coolKey then
  call('SET', coolKey, reason, 'PX', cooldown)
end

local function writeLast()
  local clock = call('TIME')
  local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
  local _, _, result = split(done)
  call('DEL', lastKey)
  call('HSET', lastKey, 'token', token, 'job', string.match(jobKey, '^[^}]*}:job:(.*)$'),
    'at', string.format('%.0f', now), 'result', result)
  call('PEXPIRE', lastKey, lease)
end

local waiting = call('EXISTS', waitingKey) == 1
if ours then
  local stays = flagged('k')
  if waiting or stays then writeLast() end
  if not stays then call('DEL', lockKey) end
  -- Without a record another delivery may have ended the job, and its tombstone expired.
  return first and 'first' or record and 'stored' or 'lost'
end
if not lock and waiting and not flagged('a') and call('EXISTS', lastKey) == 0 then
  writeLast()
end
return 'lost'
