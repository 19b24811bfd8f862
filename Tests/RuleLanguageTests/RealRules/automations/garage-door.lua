-- R186: a garage door from two end switches: OPEN, CLOSED, OPENING, CLOSING; STOP when no end is reached within 15 seconds. A command that does
-- not fit the state is refused. The drive blinks its lamp: pulses less than a second apart are an obstruction.
local a = automation { name = "garage-door", description = "states of the garage doors" }

local function enter(door, name)
  if state[door] == name then return end
  state[door] = name
  mqtt.publish("garage/" .. door .. "/state", name, { retain = true })
end

-- Both ends are one handler: reaching one gives up the 15 seconds that leaving the other has begun.
a:on_reading("garage/{door}/end/{side}", function(r)
  local at_end = r.value == "on"
  if r.side == "closed" then enter(r.door, at_end and "CLOSED" or "OPENING") else enter(r.door, at_end and "OPEN" or "CLOSING") end
  if at_end then return end
  sleep "15s"
  enter(r.door, "STOP")
end, { mode = "restart", key = "door" })

local fits = { OPEN = { CLOSED = true, STOP = true }, CLOSE = { OPEN = true, STOP = true }, STOP = { OPENING = true, CLOSING = true } }

a:on_reading("garage/{door}/command", function(r)
  local now = state[r.door] or "unknown"
  if (fits[r.value] or {})[now] then
    mqtt.publish("garage/" .. r.door .. "/drive/set", "PULSE")
  else
    mqtt.publish("garage/" .. r.door .. "/refused", r.value .. " while " .. now)
  end
end)

local pulses = {}
a:on_reading("garage/{door}/pulse", function(r)
  local before = pulses[r.door]
  pulses[r.door] = r.received_at
  if before and r.received_at - before < 1 then mqtt.publish("garage/" .. r.door .. "/obstruction", "yes") end
end)
