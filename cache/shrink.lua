-- Reduces the record of a job that is done to a mark.
local jobKey, excusedKey = unpack(KEYS)
local memory = ARGV[1]
local record = redis.call('GET', jobKey)
if not record or string.sub(record, 1, 5) ~= 'done:' then
  return 0
end
if memory == '0' then
  redis.call('DEL', jobKey)
else
  redis.call('SET', jobKey, '1', 'PX', memory)
end
redis.call('DEL', excusedKey)
return 1
