-- R066: how many events an id has in a session, which ends a minute after the last of them, and two minutes after the first.
local a = automation { name = "sessions", description = "counts events in sessions" }

-- One call is one session: `single` drops the calls of the events that `wait_for` takes.
a:on_reading("events/{id}", function(r)
  local count, ends = 1, clock.now() + 120
  while clock.now() < ends and wait_for("events/{id}", { timeout = math.min(60, ends - clock.now()) }) do
    count = count + 1
  end
  mqtt.publish("sessions/" .. r.id, { count = count })
end, { mode = "single", key = "id" })
