-- R156: with a target of 17, the heater on at 16.7 and below, off at 17 and above; five seconds between two switches; the command again
-- every three minutes, for a heater that missed it.
local a = automation { name = "thermostat", description = "a thermostat with two points" }
local HOLD = 5
local rooms = {}

local function decide(device)
  local room = rooms[device]
  local wanted = room.command
  if room.temperature <= room.target - 0.3 then wanted = "ON" elseif room.temperature >= room.target then wanted = "OFF" end
  if wanted == room.command then return end
  local held = room.switched_at + HOLD - clock.now()
  if held > 0 then return after(held, function() decide(device) end) end
  room.command, room.switched_at = wanted, clock.now()
  mqtt.publish("rooms/" .. device .. "/heater/set", wanted)
end

a:on_reading("rooms/{device}/temperature", function(r)
  local room = rooms[r.device] or { command = "OFF", switched_at = 0 }
  rooms[r.device] = room
  room.temperature, room.target = r.value, r.config.target or 17
  decide(r.device)
end)

a:every("3m", function()
  for device, room in pairs(rooms) do mqtt.publish("rooms/" .. device .. "/heater/set", room.command) end
end)
