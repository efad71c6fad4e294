-- Reduces the records of jobs that have ended to tombstones. Of a record its first bytes are
-- read: the result in it is large.
local call = redis.call
local snoozedKeys = {}
for i = 1, #KEYS, 2 do
  local jobKey = KEYS[i]
  local kind = call('GETRANGE', jobKey, '0', '4')
  if kind == 'done:' or kind == 'took:' then
    if memory == '0' then
      call('DEL', jobKey)
    else
      call('SET', jobKey, '1', 'PX', memory)
    end
    snoozedKeys[#snoozedKeys + 1] = KEYS[i + 1]
  end
end
if #snoozedKeys > 0 then
  call('DEL', unpack(snoozedKeys))
end
return 1
