-- R145: within 10 seconds in all, door 1 opens, a light goes on, door 2 is open for 2 seconds, the light goes off; else it is given up.
local a = automation { name = "two-doors", description = "a light between two doors" }

-- So that `mqtt.latest` knows what the doors said before the script waits for them.
a:on_reading("doors/{door}", function() end, { retained = "use" })
local function is_open(door)
  local said = mqtt.latest("doors/" .. door)
  return said and said.value == "open"
end

a:on_reading("scripts/two-doors/start", function()
  local ends = clock.now() + 10
  -- The door's next word of that kind, or nil when the ten seconds are over.
  local function word(door, where, most)
    local left = math.min(most or 10, ends - clock.now())
    return left > 0 and wait_for("doors/" .. door, { timeout = left, where = where }) or nil
  end

  if not is_open(1) and not word(1, "value == 'open'") then return end
  mqtt.publish("lights/passage/set", "ON")
  repeat
    if not is_open(2) and not word(2, "value == 'open'") then return end
    if ends - clock.now() < 2 then return end
  until not word(2, "value != 'open'", 2)
  mqtt.publish("lights/passage/set", "OFF")
end)
