-- Reduces the records of jobs that are done to marks.
local call = redis.call
for i = 1, #KEYS, 2 do
  local jobKey, excusedKey = KEYS[i], KEYS[i + 1]
  local record = call('GET', jobKey)
  if record and string.sub(record, 1, 5) == 'done:' then
    if memory == '0' then
      call('DEL', jobKey)
    else
      call('SET', jobKey, '1', 'PX', memory)
    end
    call('DEL', excusedKey)
  end
end
return 1
