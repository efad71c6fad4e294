-- Asks whether a job may prompt its account: see the state table in doc.go.
-- Nothing is written unless the answer is held or granted, or an unused grant is void.
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local day = 86400000
local promptsKey = dailyPrompts > 0 and KEYS[#KEYS]
deadline = tonumber(deadline)

local function int(n) return string.format('%.0f', n) end

-- The order of the fields is that of parseAnswer in codec.go.
local function answer(state, a)
  a = a or {}
  return {state, int(now), a.token or '', a.own and '1' or '', a.by or '', a.pod or '',
    int(a.wait or 0), a.result or '', a.since or '0', int(a.retry or 0), a.reason or ''}
end

if forgotten then
  return answer('forgotten')
end

-- The job's own record.
local kind, at, rest
if record == '1' then
  return answer('ended')
elseif record then
  local start
  kind, at, start = string.match(record, '^(%a+):(%-?%d+):()')
  rest = string.sub(record, start)
end
if kind == 'done' then
  return answer('done', {result = rest, since = at})
end

local function readLast()
  local f = call('HMGET', lastKey, 'token', 'job', 'at', 'result')
  return f[1] and {token = f[1], job = f[2], at = tonumber(f[3]), result = f[4]}
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
local last = (kind == 'waits' or lock) and readLast()
if last and kind == 'waits' and (last.token == rest or last.at >= tonumber(at)) then
  return answer('shared', {result = last.result, by = last.job})
end
if lock then
  if last and last.token == lock.token then
    return answer('shared', {result = last.result, by = last.job})
  elseif deadline and now >= deadline then
    return answer('too_late')
  end
  if kind ~= 'waits' or rest ~= lock.token then
    local since = kind == 'waits' and at or int(now)
    call('SET', jobKey, 'waits:' .. since .. ':' .. lock.token, 'PX', waitFor)
    call('SET', waitingKey, '1', 'PX', waitFor)
  end
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
return clock[1] .. '.' .. clock[2]
