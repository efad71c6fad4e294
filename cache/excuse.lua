-- Counts deliveries that ended because their jobs were handed back.
local call = redis.call
for i = 1, #KEYS, 2 do
  local jobKey, excusedKey = KEYS[i], KEYS[i + 1]
  if call('GET', jobKey) ~= '1' then
    call('INCR', excusedKey)
    call('PEXPIRE', excusedKey, keep)
  end
end
return 1
