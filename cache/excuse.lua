-- Counts a delivery that ended because the job was handed back.
local jobKey, excusedKey = unpack(KEYS)
local keep = ARGV[1]
if redis.call('GET', jobKey) == '1' then
  return 0
end
redis.call('INCR', excusedKey)
redis.call('PEXPIRE', excusedKey, keep)
return 1
