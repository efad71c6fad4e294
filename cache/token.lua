-- Tokens are <attempts>#<number>. One ask makes void what the earlier ones of the same
-- attempts were granted: their caller says that it did not use it. One that Redis
-- executes late, after a later one, makes nothing void.
local function voids(token, other)
  if token == other then return true end
  local attempts, number = string.match(token, '^(.*)#(%d+)$')
  local others, before = string.match(other or '', '^(.*)#(%d+)$')
  return attempts ~= nil and attempts == others and tonumber(before) < tonumber(number)
end

