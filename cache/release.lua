-- Undoes a grant that was not used, and tells whether somebody may wait for the account.
local lockKey, jobKey, promptsKey, waitingKey = unpack(KEYS)
local token = ARGV[1]
local record = redis.call('GET', jobKey)
local opened = record and string.match(record, '^open:%-?%d+:(.*)$')
if opened and voids(token, opened) then
  redis.call('DEL', jobKey)
end
local lock = redis.call('HMGET', lockKey, 'token', 'prompted')
if lock[1] and voids(token, lock[1]) then
  if lock[2] then redis.call('LREM', promptsKey, -1, lock[2]) end
  redis.call('DEL', lockKey)
end
return redis.call('EXISTS', waitingKey)
