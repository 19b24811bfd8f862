-- R067: for each b by itself, what comes from a = 1 to a = 5 is collected and passed on together.
local a = automation { name = "collect", description = "collects what comes from a = 1 to a = 5" }
local MOST = 1000 -- a b that never says 5 must not fill the memory

a:on_reading("rows/{b}", function(r)
  local rows = state[r.b]
  if not rows then
    if r.a ~= 1 then return end
    rows = {}
    state[r.b] = rows
  end
  if #rows < MOST then rows[#rows + 1] = json.decode(r.payload) end
  if r.a == 5 then
    mqtt.publish("collected/" .. r.b, rows)
    state[r.b] = nil
  end
end)
