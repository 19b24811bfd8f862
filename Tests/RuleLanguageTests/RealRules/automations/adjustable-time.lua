-- R120: when a sensor is above 80 for as long as its settings say, it is told once, with its name and that time.
--
--   PUT /api/v1/devices/left {"config": {"hot_minutes": 10}}
local a = automation { name = "adjustable-time", description = "tells of kilns that stay hot" }

a:on_reading("kilns/{device}/temperature", function(r)
  if r.value <= 80 then return end
  local minutes = r.config.hot_minutes or 5
  if wait_for("kilns/{device}/temperature", { timeout = minutes * 60, where = "value <= 80" }) then return end
  notify { receiver = "operators", summary = r.device .. " has been above 80 for " .. minutes .. " minutes" }
  -- Not again before it was cool.
  wait_for("kilns/{device}/temperature", { where = "value <= 80" })
end, { mode = "single", key = "device" })
