-- R153: daily and monthly totals of an ever-growing counter in two tariffs, which change at 09:00 and 21:00. `state` outlives restarts.
local a = automation { name = "energy-tariffs", description = "totals of meters by tariff, day and month" }

local function nothing() return { high = 0, low = 0 } end

a:on_reading("meters/{device}/energy", function(r)
  local meter = state[r.device]
  if not meter then
    meter = { last = r.kwh, day = nothing(), month = nothing() }
    state[r.device] = meter
  end
  -- A counter that went back is a new meter, which began at 0.
  local grown = r.kwh >= meter.last and r.kwh - meter.last or r.kwh
  local tariff = clock.between("09:00", "21:00") and "high" or "low"
  meter.last = r.kwh
  meter.day[tariff] = meter.day[tariff] + grown
  meter.month[tariff] = meter.month[tariff] + grown
  mqtt.publish("meters/" .. r.device .. "/totals", { tariff = tariff, day = meter.day, month = meter.month }, { retain = true })
end)

local function begin_anew(period)
  for device, meter in pairs(state) do
    mqtt.publish("meters/" .. device .. "/last_" .. period, meter[period], { retain = true })
    meter[period] = nothing()
  end
end
a:cron("0 0 * * *", function() begin_anew("day") end)
a:cron("0 0 1 * *", function() begin_anew("month") end)
