-- Ends a job that has not prompted, since a person wants that. It returns cancelled, open for a
-- job that was granted its account, ended for one that has ended, or the record of one whose
-- result is known, which may be that of an earlier cancellation.
local jobKey = KEYS[1]
local done, keep = unpack(ARGV)
local record = redis.call('GET', jobKey)
if record == '1' then
  return 'ended'
elseif record then
  local kind = string.match(record, '^(%a+):')
  if kind == 'done' then
    return record
  elseif kind == 'open' then
    return 'open'
  elseif kind == 'took' then
    return 'ended'
  end
end
redis.call('SET', jobKey, done, 'PX', keep)
return 'cancelled'
