-- Takes the next place under a rate (GCRA) and returns the microseconds until it. One
-- that is further ahead than the caller wants to wait is not taken: negative.
local key = KEYS[1]
local interval, ahead = 1000000 / rate, tonumber(ARGV[1])
local burst = math.max(1000000, interval) -- a second's places, at least one
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local arrival = math.max(tonumber(redis.call('GET', key) or now), now)
local after = arrival + interval
local wait = math.max(after - burst - now, 0)
if wait > ahead then
  return -math.ceil(wait)
end
redis.call('SET', key, string.format('%.0f', after), 'PX', string.format('%.0f', (after - now) / 1000 + 1000))
return math.ceil(wait)
