-- Tokens are <attempts>#<number>. One ask makes void what the earlier ones of the same
-- attempts were granted: their caller says that it did not use it. One that Redis
-- executes late, after a later one, makes nothing void.
local function voids(token, other)
  if token == other then return true end
  local attempts, number = string.match(token, '^(.*)#(%d+)$')
  local others, before = string.match(other or '', '^(.*)#(%d+)$')
  return attempts ~= nil and attempts == others and tonumber(before) < tonumber(number)
end

-- A lock is the holder's token, job and pod, each as <length>:<bytes>, and in ms since
-- 1970 when its prompt was counted, where it was.
local function readLock(lock)
  local fields, at = {}, 1
  for i = 1, 3 do
    local length, start = string.match(lock, '^(%d+):()', at)
    at = start + length
    fields[i] = string.sub(lock, start, at - 1)
  end
  local prompted = string.sub(lock, at)
  return {token = fields[1], job = fields[2], pod = fields[3], prompted = prompted ~= '' and prompted}
end
