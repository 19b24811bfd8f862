-- R089: whether the mean of the last full month is more than 1.1 times that of the month before.
local a = automation { name = "month-means", description = "compares the means of calendar months" }

a:on_reading("meters/{device}/power", function(r)
  local meter = state[r.device] or { sum = 0, count = 0 }
  meter.sum, meter.count = meter.sum + r.kw, meter.count + 1
  state[r.device] = meter
end)

a:cron("0 0 1 * *", function()
  for device, meter in pairs(state) do
    local mean = meter.count > 0 and meter.sum / meter.count or nil
    if mean and meter.before and mean > 1.1 * meter.before then
      notify {
        receiver = "operators", severity = "warning", labels = { device = device },
        summary = string.format("%s took %.1f kW last month, %.1f kW the month before", device, mean, meter.before),
      }
    end
    state[device] = { sum = 0, count = 0, before = mean }
  end
end)
