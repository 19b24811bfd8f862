-- R150: when the sun falls below 4 degrees (dusk-lights.yaml), porch and garden, the living room if its TV is on, the studio if its PC is.
local a = automation { name = "dusk-lights", description = "lights at dusk" }
local on = {}

a:on_reading("power/{device}", function(r) on[r.device] = r.value == "on" end, { retained = "use" })

a:on_alert("SunIsLow", "firing", function()
  local lights = { "porch", "garden" }
  if on.tv then lights[#lights + 1] = "living_room" end
  if on.pc then lights[#lights + 1] = "studio" end
  for _, light in ipairs(lights) do mqtt.publish("lights/" .. light .. "/set", "ON") end
end)
