-- Undoes a grant that was not used, and tells whether somebody may wait for the account.
local lockKey, jobKey, promptsKey, waitingKey = unpack(KEYS)
local token = ARGV[1]
local call = redis.call
local record = call('GET', jobKey)
local opened = record and string.match(record, '^open:%-?%d+:(.*)$')
if opened and voids(token, opened) then
  call('DEL', jobKey)
end
local lock = call('GET', lockKey)
lock = lock and readLock(lock)
if lock and voids(token, lock.token) then
  if lock.prompted then call('LREM', promptsKey, -1, lock.prompted) end
  call('DEL', lockKey)
end
return call('EXISTS', waitingKey)
