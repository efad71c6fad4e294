-- Remembers how a job ended: see the state table in doc.go.
local lockKey, jobKey, lastKey, coolKey, waitingKey = unpack(KEYS)
local token, job, keepLock = ARGV[1], ARGV[2], ARGV[3] == '1'
local cooldown, reason, storedAt, result = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local lease, keep, shareLate = ARGV[8], ARGV[9], ARGV[10] == '1'

local record = redis.call('GET', jobKey)
if record == '1' then
  return {'ended', ''}
elseif record then
  local kind, start = string.match(record, '^(%a+):%-?%d+:()')
  local rest = string.sub(record, start)
  if kind == 'done' then
    return {'done', rest}
  elseif kind == 'open' and rest ~= token then
    return {'superseded', ''}
  end
end
redis.call('SET', jobKey, 'done:' .. storedAt .. ':' .. result, 'PX', keep)
if token == '' then
  return {'stored', ''}
end
if cooldown > 0 then
  redis.call('SET', coolKey, reason, 'PX', string.format('%.0f', cooldown))
end

local function writeLast()
  local clock = redis.call('TIME')
  local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
  redis.call('DEL', lastKey)
  redis.call('HSET', lastKey, 'token', token, 'job', job,
    'at', string.format('%.0f', now), 'result', result)
  redis.call('PEXPIRE', lastKey, lease)
end

local holder = redis.call('HGET', lockKey, 'token')
local waiting = redis.call('EXISTS', waitingKey) == 1
if holder == token then
  if waiting or keepLock then writeLast() end
  if not keepLock then redis.call('DEL', lockKey) end
  -- Without a record another delivery may have ended the job, and its mark expired.
  return {record and 'stored' or 'lost', ''}
end
if not holder and waiting and shareLate and redis.call('EXISTS', lastKey) == 0 then
  writeLast()
end
return {'lost', ''}
