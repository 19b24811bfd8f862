-- R188: a host is pinged every 3 minutes; when it does not answer it is power-cycled, and each time the next ping is three times as far away, up to
-- 1439 minutes, until it answers.
local a = automation { name = "watchdog", description = "power-cycles a host that does not answer" }

a:on_start(function()
  state.minutes = state.minutes or 3 -- a restart of the server goes on with the interval it had
  while true do
    sleep(state.minutes * 60)
    mqtt.publish("hosts/nas/ping", "?")
    if wait_for("hosts/nas/pong", { timeout = "10s" }) then
      state.minutes = 3
    else
      mqtt.publish("sockets/nas/cycle", "1")
      state.minutes = math.min(state.minutes * 3, 1439)
    end
  end
end)
