-- Asks whether a job may prompt its account: see the tables of worker.Locker.
-- Nothing is written unless the answer is held or granted, or an unused grant is void.
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local day = 86400000
local promptsKey = dailyPrompts > 0 and KEYS[#KEYS]
deadline = tonumber(deadline)

local function int(n) return string.format('%.0f', n) end

-- The job's own record.
local kind, at, rest
if record and record ~= '1' then
  local start
  kind, at, start = string.match(record, '^(%a+):(%-?%d+):()')
  rest = string.sub(record, start)
end
if kind == 'void' then
  kind = nil -- the job is mended
end
local took = kind == 'took'
local known = took or kind == 'done' -- another delivery has concluded the job

-- The order of the fields is that of parseAnswer in codec.go.
local function answer(state, a)
  a = a or {}
  return {now, a.wait or 0, tonumber(a.since or 0), a.retry or 0,
    state, a.token or '', a.own and '1' or '', a.by or '', a.pod or '', a.result or '', a.reason or '', known and '1' or ''}
end

if forgotten then
  -- Its token is the mark that the server has, or has now: one that no other server ever had.
  call('SET', markKey, redis.sha1hex(newLock .. clock[1] .. clock[2]), 'NX')
  return answer('forgotten', {token = call('GET', markKey)})
end
if record == '1' then
  return answer('ended')
elseif kind == 'done' then
  return answer('done', {result = rest, since = at})
end

local function readLast()
  local f = call('HMGET', lastKey, 'token', 'job', 'at')
  return f[1] and {token = f[1], job = f[2], at = tonumber(f[3])}
end

-- The result is large: it is read when it is wanted.
local function shared(last)
  local result = last.token ~= have and call('HMGET', lastKey, 'result')[1]
  return answer('shared', {token = last.token, by = last.job, result = result or ''})
end

-- What the asking process was granted before and did not use.
local asking = readLock(newLock)
lock = lock and readLock(lock)
if kind == 'open' and voids(asking.token, rest) then
  call('DEL', jobKey)
  kind = nil
end
if lock and voids(asking.token, lock.token) then
  if lock.prompted and promptsKey then call('LREM', promptsKey, -1, lock.prompted) end
  call('DEL', lockKey)
  lock = nil
end

local function held()
  return answer('held', {token = lock.token, own = lock.job == asking.job, by = lock.job, pod = lock.pod,
    wait = math.max(call('PTTL', lockKey), 1)})
end

if kind == 'open' then
  if not lock or lock.token ~= rest then
    return answer('in_doubt', {token = rest})
  end
  return held()
end

-- Others' confirmations: the one that this job waited for, and the one that is open.
local waits = kind == 'waits' or took
local last = (waits or lock) and readLast()
if last and waits and (last.token == rest or last.at >= tonumber(at)) then
  return shared(last)
end
if lock then
  if last and last.token == lock.token then
    return shared(last)
  elseif deadline and now >= deadline then
    return answer('too_late')
  end
  if kind == 'waits' and rest == lock.token then
    return held()
  elseif not took then
    local since = waits and at or int(now)
    call('SET', jobKey, 'waits:' .. since .. ':' .. lock.token, 'PX', waitFor)
  end
  call('SET', waitingKey, '1', 'PX', waitFor)
  return held()
end

-- The account is free.
if deadline and now + minConfirm > deadline then
  return answer('too_late')
end
local reason = call('GET', coolKey)
if reason then
  return answer('cooling', {retry = now + math.max(call('PTTL', coolKey), 1), reason = reason})
end
if dailyPrompts > 0 then
  local oldest = call('LINDEX', promptsKey, -dailyPrompts)
  if oldest and tonumber(oldest) + day > now then
    return answer('cooling', {retry = tonumber(oldest) + day,
      reason = 'the account had its ' .. int(dailyPrompts) .. ' prompts of 24 hours'})
  end
  newLock = newLock .. int(now)
end
call('SET', lockKey, newLock, 'PX', lease)
call('SET', jobKey, newRecord, 'PX', keep)
if dailyPrompts > 0 then
  call('RPUSH', promptsKey, int(now))
  call('LTRIM', promptsKey, -dailyPrompts, -1)
  call('PEXPIRE', promptsKey, day)
end
return took and answer('granted') or now
