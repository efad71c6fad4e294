-- Counts deliveries that ended because their jobs were handed back.
local call = redis.call
for i = 1, #KEYS, 2 do
  local jobKey, snoozedKey = KEYS[i], KEYS[i + 1]
  if call('GET', jobKey) ~= '1' then
    call('INCR', snoozedKey)
    call('PEXPIRE', snoozedKey, keep)
  end
end
return 1
