-- Remembers that a message was an invalid job: see the tables of worker.Locker. It returns
-- what it did, or when the job was stored of which this message is a copy.
local jobKey = KEYS[1]
-- digest names the message's content, storedAt is when it was stored, in ms.
local digest, storedAt = unpack(ARGV)
local call = redis.call

local record = call('GET', jobKey)
if record == '1' then
  return 'ended'
elseif record then
  local kind, at, rest = string.match(record, '^(%a+):(%-?%d+):(.*)$')
  if kind == 'done' then
    return 'ended'
  elseif kind ~= 'void' then
    return 'superseded'
  elseif rest == digest then
    return tonumber(at)
  end
end
if memory ~= '0' then
  call('SET', jobKey, 'void:' .. storedAt .. ':' .. digest, 'PX', memory)
end
return 'first'
