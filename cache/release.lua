-- Undoes grants that were not used.
local lockKey, jobKey, promptsKey = unpack(KEYS)
local record = redis.call('GET', jobKey)
local opened = record and string.match(record, '^open:%-?%d+:(.*)$')
local lock = redis.call('HMGET', lockKey, 'token', 'prompted')
for _, token in ipairs(ARGV) do
  if opened == token then
    redis.call('DEL', jobKey)
  end
  if lock[1] == token then
    if lock[2] then redis.call('LREM', promptsKey, -1, lock[2]) end
    redis.call('DEL', lockKey)
  end
end
return 1
