-- R183: a temperature is passed on only when it differs by at least 2 degrees from the one that was passed on last.
local a = automation { name = "deadband", description = "passes on what has changed enough" }

a:on_reading("rooms/{device}/temperature", function(r)
  local last = state[r.device]
  if last and math.abs(r.value - last) < 2 then return end
  state[r.device] = r.value
  mqtt.publish("rooms/" .. r.device .. "/temperature/coarse", r.value)
end)
