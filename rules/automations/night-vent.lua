-- Airs a greenhouse for ten minutes when the night is warm, and counts how often it did.
local vent = automation { name = "night-vent", description = "airs the greenhouse on warm nights" }

vent:on_reading("greenhouse/{device}/climate", function(r)
  if not r.temperature or r.temperature <= (r.config.vent_above or 24) then return end
  if not clock.between("21:00", "06:00") then return end
  local topic = "greenhouse/" .. r.device .. "/vent/set"
  state.openings = (state.openings or 0) + 1
  mqtt.publish(topic, "OPEN", { qos = 1 })
  sleep "10m"
  mqtt.publish(topic, "CLOSE", { qos = 1 })
end, { mode = "restart", key = "device" })
