-- R170: the speed of a fan by the first that holds, from the top: each line can rely on what those above it have let through.
local a = automation { name = "ventilation", description = "the fan in the attic" }
local house = { light_on_for = 0 }

local function speed()
  local limits = device.config("bathroom") or {}
  if house.mode == "cleaning" then return "high" end
  if house.mode == "sleeping" and not house.hot_water then return "off" end
  if state.override then return nil end -- somebody has set it by hand: it is left alone until the daily reset
  if house.hot_water then return "high" end
  if house.humidity and house.humidity > (limits.high or 75) then return "high" end
  if house.humidity and house.humidity > (limits.low or 60) then return "low" end
  if house.light_since and clock.now() - house.light_since >= 180 then return "low" end
  return "off"
end

local said
local function decide()
  local wanted = speed()
  if wanted and wanted ~= said then mqtt.publish("attic/fan/set", wanted) end
  said = wanted or said
end

a:on_reading("house/mode", function(r) house.mode = r.value decide() end, { retained = "use" })
a:on_reading("house/hot_water", function(r) house.hot_water = r.value == "on" decide() end, { retained = "use" })
a:on_reading("bathroom/humidity", function(r) house.humidity = r.value decide() end, { retained = "use" })
a:on_reading("attic/fan/by_hand", function() state.override = true decide() end)
a:cron("0 4 * * *", function() state.override = nil said = nil decide() end)

-- A light that goes on again has not been on for three minutes: `restart` gives up the call that waits.
a:on_reading("restroom/light", function(r)
  if r.value ~= "on" then house.light_since = nil return decide() end
  house.light_since = house.light_since or clock.now()
  sleep "3m"
  decide()
end, { mode = "restart" })
