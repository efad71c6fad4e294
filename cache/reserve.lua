-- Takes the next place under a rate (GCRA) and returns the microseconds until it.
local key = KEYS[1]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local arrival = math.max(tonumber(redis.call('GET', key) or now), now)
local after = arrival + interval
redis.call('SET', key, string.format('%.0f', after), 'PX', string.format('%.0f', (after - now) / 1000 + 1000))
return string.format('%.0f', math.max(after - burst - now, 0))
