-- R148: what a button does depends on the time of day; pressed again, it begins anew.
local a = automation { name = "time-of-day", description = "leaving the room" }

a:on_reading("buttons/leave", function()
  if clock.between("00:00", "09:00") then
    mqtt.publish("scripts/morning", "run")
  elseif clock.between("09:00", "18:00") then
    mqtt.publish("lights/ceiling/set", "OFF")
    mqtt.publish("scripts/day", "run")
  else
    mqtt.publish("lights/ceiling/set", "OFF")
    sleep(math.random(60, 600))
    mqtt.publish("lights/others/set", "OFF")
  end
end, { mode = "restart" })
