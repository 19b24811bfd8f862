-- R165: how long the cooling has run since its filter was changed; at 800 hours it is told, once. A message resets it.
local a = automation { name = "filter-hours", description = "counts the hours of a filter" }
local LIFE = 800 * 3600

-- Adds what has run since it was last looked at: at least every ten minutes, so that a crash costs no more.
local function settle(device)
  local unit = state[device] or { seconds = 0 }
  state[device] = unit
  if unit.running_since then
    unit.seconds = unit.seconds + clock.now() - unit.running_since
    unit.running_since = clock.now()
  end
  if unit.seconds >= LIFE and not unit.told then
    unit.told = true
    notify { receiver = "operators", summary = "The filter of " .. device .. " has run for 800 hours" }
  end
  return unit
end

a:on_reading("climate/{device}/action", function(r)
  local unit = settle(r.device)
  unit.running_since = r.value == "cooling" and clock.now() or nil
end, { retained = "use" })

a:on_reading("climate/{device}/filter/changed", function(r)
  local unit = settle(r.device)
  unit.seconds, unit.told = 0, nil
end)

a:every("10m", function() for device in pairs(state) do settle(device) end end)
