-- R147: an action is repeated while a flag is on, 20 times at most.
local a = automation { name = "repeat-while", description = "pumps while the flag is on" }

a:on_reading("pump/flag", function(r)
  if r.value ~= "on" then return end
  for _ = 1, 20 do
    mqtt.publish("pump/stroke", "1")
    if wait_for("pump/flag", { timeout = "5s", where = "value == 'off'" }) then return end
  end
end)
