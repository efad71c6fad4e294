-- Remembers that a job took over the outcome of another's confirmation, whose result the
-- account has: see the tables of worker.Locker. It returns what it did, first where no other
-- delivery can have ended the job, taken where one has done so before, or the record of one
-- that has ended it otherwise.
local jobKey = KEYS[1]
-- token is of that confirmation; no other delivery can have ended the job before sole, in
-- ms, which is left out when it is not known.
local token, sole = unpack(ARGV)
local call = redis.call

local record = call('GET', jobKey)
if record == '1' then
  return 'ended'
end
local kind, at, rest
if record then
  kind, at, rest = string.match(record, '^(%a+):(%-?%d+):(.*)$')
end
if kind == 'done' then
  return record
elseif kind == 'open' then
  return 'superseded'
elseif kind == 'took' then
  return 'taken'
elseif kind == 'waits' then
  call('SET', jobKey, 'took:' .. at .. ':' .. rest, 'PX', keep)
  return sole and tonumber(at) < tonumber(sole) and 'first' or 'stored'
end
local clock = call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
call('SET', jobKey, string.format('took:%.0f:', now) .. (token or ''), 'PX', keep)
return 'stored'
