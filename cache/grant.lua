-- The straight path of Begin, which begin.lua goes on from: a job without a record, an
-- account that is free and may be asked. It makes no function and no table.
local lockKey, jobKey, lastKey, coolKey, waitingKey, markKey = unpack(KEYS)
local newLock, newRecord, deadline, mark, have = unpack(ARGV)
local call = redis.call

local clock = call('TIME')
local forgotten = mark and mark ~= '' and call('GET', markKey) ~= mark
local record, lock = call('GET', jobKey), call('GET', lockKey)
if not record and not lock and not forgotten and dailyPrompts == 0
  and (not deadline or deadline == '' or (clock[1] + 1) * 1000 + minConfirm <= tonumber(deadline))
  and not call('GET', coolKey) then
  call('SET', lockKey, newLock, 'PX', lease)
  call('SET', jobKey, newRecord, 'PX', keep)
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end
