-- Airs a bench of a greenhouse for ten minutes when it is warm at night. Try it without a server:
--
--   nodesphere lua run rules/automations/night-vent.lua --start 2026-06-01T23:00:00Z \
--     --reading 'greenhouses/north/bench2/temperature 27' --for 15m
--
-- A limit of its own for one bench: PUT /api/v1/devices/bench2 {"config": {"vent_above": 30}}
local vent = automation { name = "night-vent", description = "airs the greenhouse on warm nights" }

-- What stands in braces is a member of the reading; a payload that is no JSON object is r.value.
vent:on_reading("greenhouses/{house}/{device}/temperature", function(r)
  if r.value <= (r.config.vent_above or 24) then return end
  if not clock.between("21:00", "06:00") then return end
  local topic = "greenhouses/" .. r.house .. "/" .. r.device .. "/vent/set"
  state.openings = (state.openings or 0) + 1 -- `state` is stored: it outlives a restart
  mqtt.publish(topic, "OPEN", { qos = 1 })
  sleep "10m" -- only this call waits; other benches, other scripts and the rules go on
  mqtt.publish(topic, "CLOSE", { qos = 1 })
  -- Another warm reading of the same bench meanwhile gives up the call that sleeps, and begins the ten minutes anew.
end, { mode = "restart", key = { "house", "device" } })
