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
